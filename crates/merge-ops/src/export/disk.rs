//! One file that many threads write, while another thread tells the system to move it to the disk.
//!
//! Without that thread most of a file would still be in memory at the end, and `sync` would wait for all of it.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Error;

/// The system is told to move to the disk what is written, each time that it is so many bytes more.
const BATCH: usize = 32 << 20;
/// How many pieces may wait for each thread before a thread writes instead of computing.
const WAITING: usize = 2;

/// Pieces of a file that wait to be written. The system lets only one thread at a time write into a file. So a thread
/// that finds another one writing leaves its piece in the queue and goes on computing.
pub(super) struct PieceQueue<'a> {
    file: &'a File,
    /// Its name, for errors.
    path: &'a Path,
    /// Told the length of each piece that is written.
    written: &'a (dyn Fn(usize) + Sync),
    /// Each with its place in the file, in bytes.
    waiting: Mutex<VecDeque<(u64, Vec<u8>)>>,
    /// Buffers that can be used again.
    spare: Mutex<Vec<Vec<u8>>>,
    /// Held by the thread that writes.
    turn: Mutex<Turn>,
}

/// What only the thread that writes may touch.
struct Turn {
    /// Bytes written since the disk was last told.
    batch: usize,
    /// Wakes the thread that moves what is written to the disk.
    disk: Sender<()>,
}

impl PieceQueue<'_> {
    /// A buffer of a length in bytes. Its content is arbitrary.
    pub fn buffer(&self, length: usize) -> Vec<u8> {
        let mut buffer = locked(&self.spare).pop().unwrap_or_default();
        buffer.resize(length, 0);
        buffer
    }

    /// Writes a piece, or leaves it to the thread that writes now.
    pub fn put(&self, offset: u64, piece: Vec<u8>) -> Result<(), Error> {
        let mut waiting = locked(&self.waiting);
        waiting.push_back((offset, piece));
        let many = waiting.len() > WAITING * rayon::current_num_threads();
        drop(waiting);
        let turn = if many { Some(locked(&self.turn)) } else { self.turn.try_lock().ok() };
        turn.map_or(Ok(()), |turn| self.write_waiting(turn))
    }

    /// Writes all pieces that wait, also those that come meanwhile.
    fn write_waiting(&self, mut turn: MutexGuard<'_, Turn>) -> Result<(), Error> {
        let next = || locked(&self.waiting).pop_front();
        while let Some((offset, piece)) = next() {
            write_at(self.file, &piece, offset)
                .map_err(|source| Error::Write { path: self.path.to_owned(), source })?;
            (self.written)(piece.len());
            turn.batch += piece.len();
            if turn.batch >= BATCH {
                turn.batch = 0;
                // Without a listener there is no `sync`, or it has failed and reports that at the end.
                let _ = turn.disk.send(());
            }
            locked(&self.spare).push(piece);
        }
        Ok(())
    }
}

/// Writes a file of `bytes` bytes: what `work` puts into the queue. `written` is told the length of each piece. With
/// `sync` all of it is on the disk at the end.
pub(super) fn write(
    (file, path): (&File, &Path),
    bytes: u64,
    sync: bool,
    written: &(dyn Fn(usize) + Sync),
    work: impl FnOnce(&PieceQueue<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let failed = |source| Error::Write { path: path.to_owned(), source };
    reserve(file, bytes).map_err(failed)?;
    let (disk, batches) = channel();
    let turn = Turn { batch: 0, disk }.into();
    let queue = PieceQueue { file, path, written, turn, waiting: Mutex::default(), spare: Mutex::default() };
    let all = |queue: PieceQueue<'_>| {
        work(&queue)?;
        queue.write_waiting(locked(&queue.turn))
    };
    if !sync {
        return all(queue);
    }
    let (worked, synced) = std::thread::scope(|scope| {
        let disk = scope.spawn(move || sync_batches(file, &batches));
        // The thread ends when the queue is dropped, as its sender goes with it.
        (all(queue), disk.join())
    });
    // A panic there is a bug of the standard library.
    let synced = synced.unwrap_or(Ok(())).and_then(|()| file.sync_all());
    worked.and(synced.map_err(failed))
}

/// Takes the room for a file, so that a full disk is found before anything is computed. It also saves the system work
/// for each block.
#[cfg(target_os = "linux")]
fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    use rustix::io::Errno;
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, bytes) {
        // Not every file system can.
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(()),
        reserved => Ok(reserved?),
    }
}

#[cfg(not(target_os = "linux"))]
fn reserve(_: &File, _: u64) -> io::Result<()> {
    Ok(())
}

/// Moves what is written so far to the disk, each time that a message comes.
fn sync_batches(file: &File, batches: &Receiver<()>) -> io::Result<()> {
    while batches.recv().is_ok() {
        // One call serves all messages that came meanwhile.
        while batches.try_recv().is_ok() {}
        file.sync_data()?;
    }
    Ok(())
}

/// A lock; nothing panics while what it guards is half changed.
fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes all bytes at a place of the file, without moving its cursor, which other threads have too.
#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

/// Writes all bytes at a place of the file.
#[cfg(windows)]
fn write_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = std::os::windows::fs::FileExt::seek_write(file, bytes, offset)?;
        bytes = &bytes[written..];
        offset += written as u64;
    }
    Ok(())
}
