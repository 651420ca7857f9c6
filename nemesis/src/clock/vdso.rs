//! The vdso as bytes: which names it has, where they point, and where it has room.
//!
//! An ELF file of 64 bits, little-endian, as the kernel maps it. Nothing of it is believed: a place
//! outside the bytes is an error, never a panic.

/// Why a vdso cannot be patched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum VdsoError {
    #[error("the vdso is not an ELF file of 64 bits")]
    NotElf,
    #[error("the vdso's {0} lies outside of it")]
    Outside(&'static str),
    #[error("the vdso has no {0}")]
    Missing(&'static str),
    #[error("the vdso has {free} free bytes at its end, and {needed} are needed")]
    NoRoom { free: usize, needed: usize },
}

/// A name of a function, and the place of the eight bytes that say where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Symbol {
    pub(super) name: String,
    /// Where the function is.
    pub(super) value: u64,
    /// Where that is written.
    pub(super) value_at: usize,
}

/// A vdso's bytes.
pub(super) struct Vdso<'a>(&'a [u8]);

const SECTION_BYTES: usize = 64;
const SYMBOL_BYTES: usize = 24;
/// The type of a section that holds dynamic symbols.
const DYNSYM: u32 = 11;
/// The type of a symbol that is a function.
const FUNCTION: u8 = 2;

impl<'a> Vdso<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, VdsoError> {
        match bytes.starts_with(b"\x7fELF\x02\x01") {
            true => Ok(Self(bytes)),
            false => Err(VdsoError::NotElf),
        }
    }

    /// The functions that it offers.
    pub(super) fn functions(&self) -> Result<Vec<Symbol>, VdsoError> {
        let mut functions = Vec::new();
        for section in self.sections()? {
            if section.kind != DYNSYM {
                continue;
            }
            let strings = self.sections()?;
            let strings = strings.get(section.link);
            let strings = strings.ok_or(VdsoError::Missing("table of names"))?.offset;
            let symbols = self.part(section.offset, section.size, "table of symbols")?;
            for place in (0..symbols.len() / SYMBOL_BYTES).map(|index| index * SYMBOL_BYTES) {
                let symbol = &symbols[place..place + SYMBOL_BYTES];
                let name_at = word32(&symbol[..4]) as usize;
                if symbol[4] & 15 != FUNCTION {
                    continue;
                }
                functions.push(Symbol {
                    name: self.name(strings.saturating_add(name_at))?,
                    value: word64(&symbol[8..16]),
                    value_at: section.offset + place + 8,
                });
            }
        }
        Ok(functions)
    }

    /// A place for `needed` bytes behind everything that the file holds, at a multiple of 16.
    pub(super) fn room(&self, needed: usize) -> Result<usize, VdsoError> {
        let table = self.table()?;
        let mut end = table
            .0
            .saturating_add(table.1.saturating_mul(SECTION_BYTES));
        for section in self.sections()? {
            end = end.max(section.offset.saturating_add(section.size));
        }
        // What is not zero is used, whatever the file says.
        let used = self.0.iter().rposition(|byte| *byte != 0);
        let end = end
            .max(used.map_or(0, |last| last + 1))
            .next_multiple_of(16);
        let free = self.0.len().saturating_sub(end);
        match free >= needed {
            true => Ok(end),
            false => Err(VdsoError::NoRoom { free, needed }),
        }
    }

    fn name(&self, at: usize) -> Result<String, VdsoError> {
        let bytes = self.0.get(at..).ok_or(VdsoError::Outside("name"))?;
        let name = bytes.iter().take_while(|byte| **byte != 0);
        Ok(String::from_utf8_lossy(&name.copied().collect::<Vec<u8>>()).into_owned())
    }

    /// Where the sections are listed, and how many there are.
    fn table(&self) -> Result<(usize, usize), VdsoError> {
        let header = self.part(0, 64, "header")?;
        let place = usize::try_from(word64(&header[40..48]));
        let count = usize::from(u16::from_le_bytes([header[60], header[61]]));
        Ok((
            place.map_err(|_| VdsoError::Outside("list of sections"))?,
            count,
        ))
    }

    fn sections(&self) -> Result<Vec<Section>, VdsoError> {
        let (place, count) = self.table()?;
        let size = count * SECTION_BYTES;
        let table = self.part(place, size, "list of sections")?;
        let sections = table.chunks_exact(SECTION_BYTES).map(|section| {
            let place =
                |at: usize| usize::try_from(word64(&section[at..at + 8])).unwrap_or(usize::MAX);
            Section {
                kind: word32(&section[4..8]),
                offset: place(24),
                size: place(32),
                link: word32(&section[40..44]) as usize,
            }
        });
        Ok(sections.collect())
    }

    fn part(&self, place: usize, size: usize, what: &'static str) -> Result<&'a [u8], VdsoError> {
        let end = place.saturating_add(size);
        self.0.get(place..end).ok_or(VdsoError::Outside(what))
    }
}

struct Section {
    kind: u32,
    offset: usize,
    size: usize,
    /// The section that holds its names.
    link: usize,
}

fn word32(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().expect("four bytes were cut out"))
}

fn word64(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("eight bytes were cut out"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel maps into this very process.
    fn own() -> Vec<u8> {
        use std::{fs::File, os::unix::fs::FileExt};
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let line = maps.lines().find(|line| line.ends_with("[vdso]")).unwrap();
        let (from, rest) = line.split_once('-').unwrap();
        let to = rest.split(' ').next().unwrap();
        let [from, to] = [from, to].map(|hex| u64::from_str_radix(hex, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        File::open("/proc/self/mem")
            .unwrap()
            .read_exact_at(&mut bytes, from)
            .unwrap();
        bytes
    }

    #[test]
    fn the_functions_of_this_kernels_vdso_are_found_and_there_is_room_behind_them() {
        let bytes = own();
        let vdso = Vdso::new(&bytes).unwrap();
        let functions = vdso.functions().unwrap();
        for name in ["__vdso_clock_gettime", "__vdso_gettimeofday", "__vdso_time"] {
            let symbol = functions.iter().find(|symbol| symbol.name == name).unwrap();
            assert!(symbol.value > 0 && symbol.value < bytes.len() as u64);
            assert_eq!(
                word64(&bytes[symbol.value_at..symbol.value_at + 8]),
                symbol.value
            );
        }
        let room = vdso.room(64).unwrap();
        assert!(bytes[room..].iter().all(|byte| *byte == 0) && room.is_multiple_of(16));
        let most = bytes.len() - room;
        assert!(vdso.room(most).is_ok());
        let (free, needed) = (most, most + 1);
        assert_eq!(vdso.room(needed), Err(VdsoError::NoRoom { free, needed }));
    }

    #[test]
    fn bytes_that_lie_are_refused_wherever_they_lie() {
        assert_eq!(Vdso::new(b"#!/bin/sh").err(), Some(VdsoError::NotElf));
        let bytes = own();
        for length in [8, 63, 64, 100, bytes.len() / 2] {
            let cut = Vdso::new(&bytes[..length]).unwrap();
            assert!(cut.functions().is_err() || length > 100);
        }
        // Any byte of the header and of the lists may be wrong: an answer or an error, no panic.
        for place in 6..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[place] ^= 0xff;
            let vdso = Vdso::new(&wrong).unwrap();
            let _ = (vdso.functions(), vdso.room(16));
        }
    }
}
