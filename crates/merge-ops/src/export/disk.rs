//! One file that many threads write, each in its turn, and the disk beside them.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Error;

/// After so many bytes the disk begins with what there is.
const BATCH: usize = 32 << 20;
/// So many pieces may wait for each thread.
const WAITING: usize = 2;

/// Pieces of a file on their way. The system lets one thread write into a file at a time: the others leave their pieces to it and go on.
pub(super) struct PieceQueue<'a> {
    file: &'a File,
    path: &'a Path,
    written: &'a (dyn Fn(usize) + Sync),
    waiting: Mutex<VecDeque<(u64, Vec<u8>)>>,
    /// Buffers that can be used again.
    spare: Mutex<Vec<Vec<u8>>>,
    /// Whose turn it is to write.
    turn: Mutex<Turn>,
}

struct Turn {
    /// Bytes that the disk has not been told of.
    batch: usize,
    disk: Sender<()>,
}

impl PieceQueue<'_> {
    /// A buffer of a length; what is in it is of no meaning.
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

    fn write_waiting(&self, mut turn: MutexGuard<'_, Turn>) -> Result<(), Error> {
        let next = || locked(&self.waiting).pop_front();
        while let Some((offset, piece)) = next() {
            write_at(self.file, &piece, offset)
                .map_err(|source| Error::Write { path: self.path.to_owned(), source })?;
            (self.written)(piece.len());
            turn.batch += piece.len();
            if turn.batch >= BATCH {
                turn.batch = 0;
                // If nobody listens, nobody waits for the disk, or it has failed, which will be told.
                let _ = turn.disk.send(());
            }
            locked(&self.spare).push(piece);
        }
        Ok(())
    }
}

/// Writes into a file of so many bytes what `work` puts into the queue, and tells `written` of them; with `sync` all are on the disk at the
/// end.
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
        // The thread ends when the queue is gone.
        (all(queue), disk.join())
    });
    // A panic there is a bug of the standard library.
    let synced = synced.unwrap_or(Ok(())).and_then(|()| file.sync_all());
    worked.and(synced.map_err(failed))
}

/// Takes the room for a file, so that a full disk shows before anything is computed, and the system has less to do for each block.
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

/// Lets what is written so far go to the disk each time that it is told to.
fn sync_batches(file: &File, batches: &Receiver<()>) -> io::Result<()> {
    while batches.recv().is_ok() {
        // What came meanwhile is written with it.
        while batches.try_recv().is_ok() {}
        file.sync_data()?;
    }
    Ok(())
}

/// A lock; nothing panics while what it guards is half changed.
fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(windows)]
fn write_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = std::os::windows::fs::FileExt::seek_write(file, bytes, offset)?;
        bytes = &bytes[written..];
        offset += written as u64;
    }
    Ok(())
}
