#!/usr/bin/env bash
# Builds with CUDA where GitHub cannot be reached: burn's compiler for CUDA needs LLVM's static libraries, and this takes them from Debian
# unstable instead of the archive that the crate `tracel-llvm-bundler` downloads.
#
#   benches/cuda_build.sh FOLDER [PROFILE]     PROFILE: release (default), or ci, which compiles faster and computes slowly
#
# On Debian (or Ubuntu with its package debian-archive-keyring), as root, with Rust from rustup and pip; needs a Debian mirror (MIRROR), crates.io,
# PyPI and 10 GB under FOLDER, but no GPU. Installs `debootstrap` where it is missing; all else is kept in FOLDER, and kept for the next run:
#
#   FOLDER/debian        Debian unstable with LLVM and g++, in which everything is compiled: its libraries want a C library as new as they are
#   FOLDER/target        cargo's
#   FOLDER/tailor-cuda   to be carried to a machine with a GPU and any Linux for the same kind of processor: `tailor` and the programs that
#                        benches/gpu.sh --bin takes, each a script that starts the program of that name in `bin/` with the libraries in `lib/`
set -euo pipefail
repository=$(cd "$(dirname "$0")/.." && pwd)
[ $# -ge 1 ] && [ $# -le 2 ] || { echo 'cuda_build.sh: say a folder, and a profile if it is not release' >&2; exit 1; }
[ "$EUID" = 0 ] || { echo 'cuda_build.sh: root is needed, for debootstrap and chroot' >&2; exit 1; }
mkdir -p "$1"
folder=$(cd "$1" && pwd) profile=${2:-release}
debian=$folder/debian
mirror=${MIRROR:-http://deb.debian.org/debian}

# The folder is named by the bundler's version, such as 23.1.0-4, and holds an LLVM of the same major version.
bundle=$(sed -n '/^name = "tracel-llvm-bundler"$/{n;s/^version = "\(.*\)"$/\1/p}' "$repository/Cargo.lock")
llvm=${bundle%%.*}

if ! command -v debootstrap >/dev/null; then
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends debootstrap
fi
inside() { DEBIAN_FRONTEND=noninteractive LC_ALL=C HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$debian" "$@"; }
if [ ! -f "$debian/complete" ]; then
    rm -rf "$debian"
    packages=(g++ "llvm-$llvm-dev" "libpolly-$llvm-dev" libzstd-dev)
    debootstrap --variant=minbase sid "$debian" "$mirror"
    inside apt-get install -y -qq --no-install-recommends "${packages[@]}"
    inside apt-get clean
    touch "$debian/complete"
fi

# What the bundler's build script looks for: a file that says the download is done, and `llvm-config`. A library that Debian names by its
# path would be asked for by a wrong name.
layout=$debian/opt/tracel/tracel-llvm-$bundle
mkdir -p "$layout/bin"
cat >"$layout/bin/llvm-config" <<SCRIPT
#!/bin/sh
/usr/lib/llvm-$llvm/bin/llvm-config "\$@" | sed -E 's!/[^ ]*/lib([^ /]+)\.so!-l\1!g'
SCRIPT
chmod +x "$layout/bin/llvm-config"
[ -f "$layout/.tracel-llvm-installed" ] || touch "$layout/.tracel-llvm-installed" # touched again, it would have all of burn compiled again

host=$(rustc -vV | sed -n "s/^host: //p")
cargo fetch --quiet --locked --target "$host" --manifest-path "$repository/Cargo.toml"
sysroot=$(cd "$repository" && rustc --print sysroot)
cargo_home=${CARGO_HOME:-$HOME/.cargo}
target=$folder/target
mkdir -p "$target" "$debian"/opt/{rust,cargo,source,target}
# The mounts are this shell's own and end with it.
unshare --mount bash -euo pipefail -s -- "$debian" "$sysroot" "$cargo_home" "$repository" "$target" "$profile" <<'SHELL'
debian=$1 profile=$6
mount --make-rprivate /
for pair in "$2:rust" "$3:cargo" "$4:source" "$5:target"; do
    mount --bind "${pair%:*}" "$debian/opt/${pair##*:}"
done
mount -t proc proc "$debian/proc"
mount --bind /dev "$debian/dev"
chroot "$debian" /usr/bin/env -i PATH=/opt/rust/bin:/usr/bin:/bin HOME=/root CARGO_HOME=/opt/cargo XDG_DATA_HOME=/opt \
    CARGO_TARGET_DIR=/opt/target CARGO_INCREMENTAL=0 CARGO_TERM_COLOR=never PROFILE="$profile" bash -euo pipefail -c '
    cd /opt/source
    select=(--offline --locked --profile "$PROFILE" -p tailor-llm -p tailor-benches -p layer-runtime --features tailor-llm/cuda)
    cargo build "${select[@]}" --bins
    cargo test "${select[@]}" --test device_parity --no-run --message-format json |
        sed -n "s!.*\"executable\":\"/opt/target/\([^\"]*/device_parity-[^\"]*\)\".*!\1!p" >/opt/target/device_parity'
SHELL

out=$folder/tailor-cuda
rm -rf "$out"
mkdir -p "$out/bin" "$out/lib"
for program in tailor make_model forward; do cp "$target/$profile/$program" "$out/bin/"; done
cp "$target/$(cat "$target/device_parity")" "$out/bin/device_parity"

# Programs are smaller by a third without their symbols. The loader comes along, as it and the C library are of one version.
scratch=$debian/opt/programs
mkdir -p "$scratch"
cp "$out"/bin/* "$scratch/"
inside sh -c 'strip /opt/programs/* && ldd /opt/programs/*' |
    sed -nE 's!.*[ \t](/[^ ]+) \(0x.*!\1!p' | sort -u | while read -r library; do
    cp -L "$debian$library" "$out/lib/"
done
mv "$scratch"/* "$out/bin/"
rmdir "$scratch"
loader=$(cd "$out/lib" && echo ld-linux-*)

# NVIDIA's mathematical functions (exp, tanh and others), which are compiled into kernels at run time.
if [ ! -f "$folder/libdevice.10.bc" ]; then
    python3 -m pip download -q --no-deps --only-binary :all: -d "$folder/wheel" nvidia-cuda-nvcc-cu12==12.9.86
    python3 -m zipfile -e "$folder"/wheel/*.whl "$folder/wheel"
    mv "$folder/wheel/nvidia/cuda_nvcc/nvvm/libdevice/libdevice.10.bc" "$folder/"
    rm -r "$folder/wheel"
fi
mkdir -p "$out/cuda/nvvm/libdevice"
cp "$folder/libdevice.10.bc" "$out/cuda/nvvm/libdevice/"

for program in "$out"/bin/*; do
    cat >"$out/${program##*/}" <<SCRIPT
#!/bin/sh
here=\$(dirname "\$(readlink -f "\$0")")
export CUDA_PATH="\${CUDA_PATH:-\$here/cuda}"
exec "\$here/lib/$loader" --library-path "\$here/lib\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}" "\$here/bin/${program##*/}" "\$@"
SCRIPT
    chmod +x "$out/${program##*/}"
done
printf '%s holds the programs; %s holds their libraries:\n' "$out" "$out/lib"
ls "$out/lib"
"$out/tailor" devices
