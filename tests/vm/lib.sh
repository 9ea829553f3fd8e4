# shellcheck shell=bash
# Functions to boot a Debian kernel under qemu. Source it from a script that has `set -euo pipefail`.
#
#   kernel=$(vm_kernel stock)           # <dir>/boot/vmlinuz-*, <dir>/lib/modules/*
#   initrd=$(vm_initramfs "$kernel")
#   vm_work_begin                       # $vm_work, removed at exit, is /run/vm/job in the guest
#   vm_boot_config "$kernel" INIT       # what the initramfs reads: the real root's init, and so on
#   vm_start "$kernel" "$initrd" ROOT [QEMU OPTION...]    # sets $vm_pid
#   vm_alive, vm_stop, vm_autopsy
#
# vm_work_begin owns the EXIT, HUP, INT and TERM traps.

shopt -s inherit_errexit

vm_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
vm_cache=$(realpath -m "${FTPVIP_VM_CACHE:-$vm_here/../../.cache/vm}")
vm_work=
vm_pid=

# The exit codes that are ours and not the command's, as in timeout(1) and docker-run(1).
# shellcheck disable=SC2034 # for those who source this
readonly vm_exit_timeout=124 vm_exit_broken=125

# Needed before there is a root file system: the bus, 9p over it, and the overlay. All else is loaded by the
# guest's own modprobe. Who boots from a disk adds what that takes.
vm_boot_modules=(virtio_pci 9pnet_virtio 9p overlay)

vm_say() { printf 'vm: %s\n' "$*" >&2; }

vm_die() {
  vm_say "$@"
  exit "$vm_exit_broken"
}

# vm_need TOOL:PACKAGE...
vm_need() {
  local pair missing=()
  for pair; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
  done
  ((${#missing[@]} == 0)) || vm_die "not installed: ${missing[*]}. Try: apt-get install ${missing[*]}"
}

# vm_quote WORD... prints the words quoted for any POSIX shell.
vm_quote() {
  local word escaped="'\\''"
  for word; do
    printf "'%s' " "${word//\'/$escaped}"
  done
}

# vm_kernel stock|backports prints the folder of an unpacked linux-image package, fetching it the first time.
# The one in the package lists now is used; where the lists know none, the newest in the cache.
vm_kernel() {
  local flavour=$1 package file dir
  local -a apt=(-o APT::Sandbox::User=root)
  vm_need apt-get:apt dpkg-deb:dpkg depmod:kmod flock:util-linux
  mkdir -p "$vm_cache"
  # One at a time fetches; the others find it done. The lock goes with this (sub)shell.
  exec {vm_lock}>"$vm_cache/lock"
  flock "$vm_lock"

  case $flavour in
    stock) ;;
    backports) vm_apt_backports apt ;;
    *) vm_die "no such kernel: '$flavour'. Allowed: stock, backports" ;;
  esac
  # The package linux-image-amd64 is empty and depends on the real one.
  package=$(apt-cache "${apt[@]}" show --no-all-versions linux-image-amd64 2>/dev/null |
    sed -nE 's/^Depends:.*\b(linux-image-[0-9][^ ,]*).*/\1/p') || true
  if [[ $package ]]; then
    file=$(apt-get "${apt[@]}" download --print-uris "$package" | awk 'NR == 1 { print $2 }')
    dir=$vm_cache/$flavour/${file%.deb}
  else
    dir=$(find "$vm_cache/$flavour" -mindepth 1 -maxdepth 1 -name 'linux-image-*' 2>/dev/null | sort -V | tail -n 1) || true
    [[ $dir ]] || vm_die "apt knows no linux-image-amd64. Try: apt-get update (and a Debian amd64 host)"
    vm_say "apt knows no linux-image-amd64: taking ${dir##*/} from the cache"
  fi
  [[ -d $dir ]] || vm_fetch "$dir" "$package" "${apt[@]}"
  printf '%s\n' "$dir"
}

# vm_fetch DIR PACKAGE [APT OPTION...] downloads and unpacks; DIR appears only when it is whole.
vm_fetch() {
  local dir=$1 package=$2 part=$vm_cache/part log=$vm_cache/apt.log
  shift 2
  rm -rf "$part"
  mkdir -p "$part"
  vm_say "fetching $package"
  if ! (cd "$part" && apt-get "$@" download "$package" >"$log" 2>&1); then
    cat "$log" >&2
    vm_die "cannot download $package. Is there a network? If the package is gone, its list is old: apt-get update"
  fi
  dpkg-deb -x "$part"/*.deb "$part"
  rm "$part"/*.deb
  depmod -b "$part" "$(vm_release "$part")"
  mkdir -p "${dir%/*}"
  mv "$part" "$dir"
}

# vm_apt_backports ARRAY adds apt options with which apt sees the backports of the host's mirror and nothing else.
# The host's own package lists stay as they are.
vm_apt_backports() {
  local -n options=$1
  local state=$vm_cache/apt-backports codename uri
  # shellcheck disable=SC1091
  codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
  # shellcheck disable=SC2016 # apt expands it
  uri=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' \
    "Codename: $codename" 'Component: main' | awk 'NR == 1')
  mkdir -p "$state/lists/partial"
  options+=(-o Dir::Etc::SourceList="$state/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o Dir::State::Lists="$state/lists" -o Dir::Cache::PkgCache= -o Dir::Cache::SrcPkgCache=)
  if [[ ! $uri ]]; then
    vm_say "apt knows no mirror of Debian '$codename'"
    return
  fi
  printf 'deb [arch=amd64 signed-by=%s] %s %s-backports main\n' \
    /usr/share/keyrings/debian-archive-keyring.gpg "$uri" "$codename" >"$state/sources.list"
  # Once a day: old lists name packages that the mirror has dropped.
  if [[ ! $(find "$state/updated" -mtime -1 2>/dev/null) ]]; then
    if apt-get "${options[@]}" update >"$vm_cache/apt.log" 2>&1; then
      touch "$state/updated"
    else
      vm_say "cannot refresh the package lists of $codename-backports: see $vm_cache/apt.log"
    fi
  fi
}

# vm_release KERNEL prints what `uname -r` will say.
vm_release() {
  local image
  image=$(echo "$1"/boot/vmlinuz-*)
  printf '%s\n' "${image##*/vmlinuz-}"
}

# vm_initramfs KERNEL prints the path of an initramfs for it: busybox, the boot modules, guest/initramfs-init.
# It is named after all that goes into it, so it is built only once.
vm_initramfs() {
  local kernel=$1 busybox release sum image tree module action ko
  vm_need busybox:busybox-static cpio:cpio modprobe:kmod
  busybox=$(command -v busybox)
  # A dynamic one would ask for its libraries before there is a root file system.
  if ldd "$busybox" >/dev/null 2>&1; then
    vm_die "$busybox is not static. Try: apt-get install busybox-static"
  fi
  release=$(vm_release "$kernel")
  sum=$({
    cat "$busybox" "$vm_here/guest/initramfs-init"
    echo "${vm_boot_modules[@]}"
  } | sha256sum)
  image=$kernel/initramfs-${sum:0:12}
  if [[ ! -e $image ]]; then
    tree=$(mktemp -d "$kernel/initramfs.XXXXXX")
    mkdir -p "$tree"/{bin,dev,job,lower,new,proc,modules,upper}
    cp "$busybox" "$tree/bin/busybox"
    install -m 755 "$vm_here/guest/initramfs-init" "$tree/init"
    for module in "${vm_boot_modules[@]}"; do
      modprobe -d "$kernel" -S "$release" --show-depends "$module"
    done | awk '!seen[$0]++' | while read -r action ko _; do
      [[ $action == insmod ]] || continue # the others are "builtin"
      module=${ko##*/}
      module=${module%%.*}
      case $ko in
        *.xz) vm_need xz:xz-utils && xz -dc "$ko" ;;
        *.zst) vm_need zstd:zstd && zstd -qdc "$ko" ;;
        *) cat "$ko" ;;
      esac >"$tree/modules/$module.ko"
      echo "$module.ko" >>"$tree/modules/order"
    done
    (cd "$tree" && find . | cpio -o -H newc --quiet) >"$tree.cpio"
    mv "$tree.cpio" "$image" # two at once build the same thing: the last one wins
    rm -rf "$tree"
  fi
  printf '%s\n' "$image"
}

# vm_work_begin makes $vm_work, and sees to it that it and qemu go when the shell goes.
vm_work_begin() {
  vm_work=$(mktemp -d "${TMPDIR:-/tmp}/ftpvip-vm.XXXXXX")
  trap vm_work_end EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

vm_work_end() {
  vm_stop
  rm -rf "$vm_work"
}

# vm_boot_config KERNEL INIT [DISK] writes what guest/initramfs-init reads. INIT is a path in the guest's real root,
# which is the ext4 file system on DISK where that is named.
vm_boot_config() {
  local kernel=$1 init=$2 disk=${3:-} release
  release=$(vm_release "$kernel")
  {
    echo "release=$(vm_quote "$release")"
    echo "init=$(vm_quote "$init")"
    echo "disk=$(vm_quote "$disk")"
  } >"$vm_work/boot.env"
}

# vm_start KERNEL INITRD ROOT [QEMU OPTION...] starts qemu in the background, with ROOT as the guest's read-only
# lower root and our standard input and output as its own, and sets vm_pid. It reads vm_memory (2G), vm_cpus (1)
# and vm_append (more kernel command line).
vm_start() {
  local kernel=$1 initrd=$2 root=$3 release
  shift 3
  release=$(vm_release "$kernel")
  local share=security_model=none,multidevs=remap
  local -a append=(
    console=ttyS0 loglevel=5
    oops=panic panic=-1 # with -no-reboot: qemu ends
    no_timer_check      # the check panics when a busy host is late with its ticks
    nowatchdog rcupdate.rcu_cpu_stall_suppress=1 # and these complain
    mitigations=off
    norandmaps # the emulator translates code anew for each address
  )
  # A comma separates qemu's options; two are one in a value.
  # shellcheck disable=SC2054 # the commas are meant
  local -a args=(
    -accel tcg,thread=multi -cpu max -smp "${vm_cpus:-1}" -m "${vm_memory:-2G}"
    -nodefaults -no-user-config -no-reboot -display none
    -kernel "$kernel/boot/vmlinuz-$release" -initrd "$initrd"
    -append "${append[*]} ${vm_append:-}"
    -chardev "file,id=console,path=${vm_work//,/,,}/console" -serial chardev:console
    -device virtio-rng-pci
    -virtfs "local,path=${root//,/,,},mount_tag=root,readonly=on,$share"
    -virtfs "local,path=${kernel//,/,,}/lib/modules/$release,mount_tag=modules,readonly=on,$share"
    -virtfs "local,path=${vm_work//,/,,},mount_tag=job,$share"
    "$@"
  )
  # Should this shell be killed with SIGKILL, no trap runs: then the kernel ends qemu.
  setpriv --pdeathsig KILL qemu-system-x86_64 "${args[@]}" <&0 2>"$vm_work/qemu.log" &
  vm_pid=$!
}

vm_alive() { [[ $vm_pid ]] && kill -0 "$vm_pid" 2>/dev/null; }

vm_stop() {
  if vm_alive; then
    kill -KILL "$vm_pid"
  fi
  if [[ $vm_pid ]]; then
    wait "$vm_pid" 2>/dev/null || true
  fi
  vm_pid=
}

# vm_autopsy shows what qemu and the guest's kernel said last.
vm_autopsy() {
  if [[ -s $vm_work/qemu.log ]]; then
    vm_say "qemu said:"
    tail -n 20 "$vm_work/qemu.log" >&2
  fi
  vm_say "the end of the console:"
  if [[ -s $vm_work/console ]]; then
    tail -n 60 "$vm_work/console" | tr -d '\r' >&2
  else
    echo "(nothing)" >&2
  fi
}
