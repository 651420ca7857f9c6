//! One process with the code in its vdso, and the numbers that the code goes by.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    process::Command,
};

use super::{Setting, vdso::Vdso};
use crate::sys::skew::{Code, Held, hold_at_start};

/// A process whose clock can be changed.
#[derive(Debug)]
pub(super) struct Patched {
    /// The memory that the process had when it was patched: a later one is not reached by it.
    memory: File,
    /// Where the code begins.
    code_at: u64,
    /// Where the two copies are.
    copies_at: u64,
    /// How often the clock was changed.
    count: u64,
}

/// How a copy lies in memory: offset, base, rate, period.
const COPY_BYTES: usize = 32;

/// Makes a process wait for [`Patched::adopt`].
pub(super) fn hold(command: &mut Command) {
    hold_at_start(command);
}

impl Patched {
    /// Puts the code into a process that is held at its start, and lets it run with this setting.
    pub(super) fn adopt(pid: u32, setting: &Setting) -> Result<Self, String> {
        let raw = i32::try_from(pid).map_err(|_| "its pid is none".to_owned())?;
        let held = Held::at_start(raw).map_err(|error| format!("it cannot be traced: {error}"))?;
        let (from, to) = vdso_of(pid)?;
        let memory = format!("/proc/{pid}/mem");
        let memory = OpenOptions::new().read(true).write(true).open(memory);
        let memory = memory.map_err(|error| format!("its memory cannot be opened: {error}"))?;
        let mut bytes = vec![0; usize::try_from(to - from).expect("64 bits")];
        let read = memory.read_exact_at(&mut bytes, from);
        read.map_err(|error| format!("its vdso cannot be read: {error}"))?;
        let code = Code::new();
        let patch = patch(&bytes, from, &code, setting)?;
        for (place, bytes) in &patch.writes {
            write(&memory, &held, from + *place as u64, bytes)?;
        }
        let code_at = from + patch.code_at as u64;
        held.release()
            .map_err(|error| format!("it cannot be let go: {error}"))?;
        Ok(Self {
            memory,
            code_at,
            copies_at: code_at + code.copies as u64,
            count: 0,
        })
    }

    /// Changes the clock, from one call of the program to the next.
    pub(super) fn write(&mut self, setting: &Setting) -> io::Result<()> {
        let next = self.count + 1;
        let copy_at = self.copies_at + (next & 1) * COPY_BYTES as u64;
        self.memory.write_all_at(&copy(setting), copy_at)?;
        self.memory
            .write_all_at(&next.to_le_bytes(), self.code_at)?;
        self.count = next;
        Ok(())
    }

    /// What the code in the process goes by now.
    pub(super) fn read(&self) -> io::Result<Setting> {
        let mut word = [0; 8];
        self.memory.read_exact_at(&mut word, self.code_at)?;
        let copy_at = self.copies_at + (u64::from_le_bytes(word) & 1) * COPY_BYTES as u64;
        let mut words = [0; 4];
        for (index, value) in (0..).zip(&mut words) {
            self.memory.read_exact_at(&mut word, copy_at + index * 8)?;
            *value = i64::from_le_bytes(word);
        }
        let [offset_ns, base_ns, rate, period_ns] = words;
        Ok(Setting {
            offset_ns,
            base_ns,
            rate,
            period_ns,
        })
    }
}

fn copy(setting: &Setting) -> Vec<u8> {
    let Setting {
        offset_ns,
        base_ns,
        rate,
        period_ns,
    } = *setting;
    let words = [offset_ns, base_ns, rate, period_ns];
    words.into_iter().flat_map(i64::to_le_bytes).collect()
}

/// What is to be written where in a vdso, in this order.
struct Patch {
    writes: Vec<(usize, Vec<u8>)>,
    code_at: usize,
}

fn patch(bytes: &[u8], from: u64, code: &Code, setting: &Setting) -> Result<Patch, String> {
    let vdso = Vdso::new(bytes).map_err(|error| error.to_string())?;
    let functions = vdso.functions().map_err(|error| error.to_string())?;
    let code_at = vdso.room(code.bytes.len());
    let code_at = code_at.map_err(|error| error.to_string())?;
    let mut blob = code.bytes.to_vec();
    let mut put =
        |place: usize, bytes: &[u8]| blob[place..place + bytes.len()].copy_from_slice(bytes);
    put(code.copies, &copy(setting));
    let mut writes = Vec::new();
    for (name, entry, real) in [
        (
            "clock_gettime",
            code.clock_gettime,
            Some(code.real_clock_gettime),
        ),
        (
            "gettimeofday",
            code.gettimeofday,
            Some(code.real_gettimeofday),
        ),
        ("time", code.time, None),
    ] {
        // Some look for the name with a prefix, and some without.
        let named = |symbol: &&super::vdso::Symbol| {
            symbol.name == name || symbol.name.strip_prefix("__vdso_") == Some(name)
        };
        let mut symbols = functions.iter().filter(named).peekable();
        let first = symbols.peek();
        let first = first.ok_or_else(|| format!("this kernel's vdso has no {name}"))?;
        if let Some(real) = real {
            put(real, &(from + first.value).to_le_bytes());
        }
        let entry = (code_at + entry) as u64;
        writes.extend(symbols.map(|symbol| (symbol.value_at, entry.to_le_bytes().to_vec())));
    }
    writes.insert(0, (code_at, blob));
    Ok(Patch { writes, code_at })
}

/// Through `/proc/PID/mem`, which must go on to work while the process runs; the words that a
/// kernel refuses there say what to allow.
fn write(memory: &File, held: &Held, at: u64, bytes: &[u8]) -> Result<(), String> {
    let Err(error) = memory.write_all_at(bytes, at) else {
        return Ok(());
    };
    let pokes = held.poke(at, 0).is_ok();
    let how = match pokes {
        true => {
            "; this kernel forbids it for /proc/PID/mem: boot it with \
                 `proc_mem.force_override=always`"
        }
        false => "",
    };
    Err(format!("its vdso cannot be written: {error}{how}"))
}

/// Where the vdso of a process lies.
fn vdso_of(pid: u32) -> Result<(u64, u64), String> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"));
    let maps = maps.map_err(|error| format!("its memory map cannot be read: {error}"))?;
    vdso_in(&maps)
}

fn vdso_in(maps: &str) -> Result<(u64, u64), String> {
    let line = maps.lines().find(|line| line.ends_with("[vdso]"));
    let range = line.and_then(|line| {
        let (from, rest) = line.split_once('-')?;
        let to = rest.split(' ').next()?;
        let number = |hex| u64::from_str_radix(hex, 16).ok();
        Some((number(from)?, number(to)?))
    });
    range.ok_or_else(|| {
        "it has no vdso: it is a program of 32 bits, or the kernel was booted with `vdso=0`".into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_without_a_vdso_is_refused_with_the_reason() {
        let with = "7ffd0000-7ffd1000 r--p 00000000 00:00 0    [vvar]\n\
                    7ffd1000-7ffd3000 r-xp 00000000 00:00 0    [vdso]\n";
        assert_eq!(vdso_in(with), Ok((0x7ffd_1000, 0x7ffd_3000)));
        for without in ["", with.lines().next().unwrap(), "nonsense [vdso]"] {
            let why = vdso_in(without).unwrap_err();
            assert!(
                why.contains("it has no vdso") && why.contains("`vdso=0`"),
                "{why}"
            );
        }
    }
}
