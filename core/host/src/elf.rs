//! A look into an ELF file before the dynamic loader sees it: loading already runs constructors, so what can be
//! refused by reading is refused by reading. Reads only what the rules need, never trusts an offset.

/// What is wrong with the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    NotElf,
    WrongMachine(String),
    NotShared,
    Truncated,
    StaticTls,
    NoSymbol,
}

/// The machine that this hub is built for, as messages name it.
pub(crate) const MACHINE: &str = std::env::consts::ARCH;

const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
const SECTION_HEADER: usize = 64;
const SYMBOL: usize = 24;

const ET_DYN: u16 = 3;
const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const SHT_DYNSYM: u32 = 11;
const DT_FLAGS: u64 = 30;
const DF_STATIC_TLS: u64 = 0x10;

const fn machine() -> u16 {
    if cfg!(target_arch = "x86_64") {
        62
    } else if cfg!(target_arch = "aarch64") {
        183
    } else if cfg!(target_arch = "riscv64") {
        243
    } else {
        0
    }
}

/// Checks that `bytes` is a complete shared library for this machine that defines `symbol`.
pub(crate) fn check(bytes: &[u8], symbol: &str) -> Result<(), Fault> {
    let file = File(bytes);
    if !bytes.starts_with(b"\x7fELF") {
        return Err(Fault::NotElf);
    }
    check_machine(file)?;
    if file.u16(16)? != ET_DYN {
        return Err(Fault::NotShared);
    }
    check_segments(file)?;
    if defines(file, symbol.as_bytes())? { Ok(()) } else { Err(Fault::NoSymbol) }
}

fn check_machine(file: File<'_>) -> Result<(), Fault> {
    let (class, data) = (file.u8(4)?, file.u8(5)?);
    let little = cfg!(target_endian = "little");
    if class != 2 {
        return Err(Fault::WrongMachine("32-bit".into()));
    }
    if (data == 1) != little {
        return Err(Fault::WrongMachine("other byte order".into()));
    }
    file.range(0, HEADER)?;
    match file.u16(18)? {
        found if found == machine() => Ok(()),
        62 => Err(Fault::WrongMachine("x86_64".into())),
        183 => Err(Fault::WrongMachine("aarch64".into())),
        243 => Err(Fault::WrongMachine("riscv64".into())),
        other => Err(Fault::WrongMachine(format!("ELF machine {other}"))),
    }
}

/// Every segment lies within the file, and none needs static thread-local storage.
fn check_segments(file: File<'_>) -> Result<(), Fault> {
    let table = file.table(32, 54, 56, PROGRAM_HEADER)?;
    if table.count == 0 {
        return Err(Fault::Truncated);
    }
    for at in table.entries() {
        let (kind, offset, size) = (file.u32(at)?, file.u64(at + 8)?, file.u64(at + 32)?);
        match kind {
            PT_LOAD => {
                file.span(offset, size)?;
            }
            PT_DYNAMIC => check_dynamic(file.span(offset, size)?)?,
            _ => {}
        }
    }
    Ok(())
}

fn check_dynamic(dynamic: File<'_>) -> Result<(), Fault> {
    for at in (0..dynamic.0.len() / 16).map(|i| i * 16) {
        let (tag, value) = (dynamic.u64(at)?, dynamic.u64(at + 8)?);
        if tag == 0 {
            break;
        }
        if tag == DT_FLAGS && value & DF_STATIC_TLS != 0 {
            return Err(Fault::StaticTls);
        }
    }
    Ok(())
}

/// Whether the dynamic symbol table defines `name` for others.
fn defines(file: File<'_>, name: &[u8]) -> Result<bool, Fault> {
    let sections = file.table(40, 58, 60, SECTION_HEADER)?;
    for at in sections.entries() {
        if file.u32(at + 4)? != SHT_DYNSYM {
            continue;
        }
        let symbols = file.section(at)?;
        let link = file.u32(at + 40)? as usize;
        if link >= sections.count {
            return Err(Fault::Truncated);
        }
        let names = file.section(sections.start + link * sections.size)?;
        for symbol in (0..symbols.0.len() / SYMBOL).map(|i| i * SYMBOL) {
            let defined = symbols.u16(symbol + 6)? != 0;
            let global = matches!(symbols.u8(symbol + 4)? >> 4, 1 | 2);
            if defined && global && names.text(symbols.u32(symbol)? as usize) == Some(name) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// A part of the file; every read is checked.
#[derive(Clone, Copy)]
struct File<'a>(&'a [u8]);

/// A table of headers whose place has been checked.
struct Table {
    start: usize,
    size: usize,
    count: usize,
}

impl Table {
    fn entries(&self) -> impl Iterator<Item = usize> + use<> {
        let (start, size) = (self.start, self.size);
        (0..self.count).map(move |i| start + i * size)
    }
}

impl<'a> File<'a> {
    fn range(self, at: usize, len: usize) -> Result<&'a [u8], Fault> {
        at.checked_add(len).and_then(|end| self.0.get(at..end)).ok_or(Fault::Truncated)
    }

    fn array<const N: usize>(self, at: usize) -> Result<[u8; N], Fault> {
        self.range(at, N)?.try_into().map_err(|_| Fault::Truncated)
    }

    fn u8(self, at: usize) -> Result<u8, Fault> {
        self.array(at).map(u8::from_ne_bytes)
    }

    fn u16(self, at: usize) -> Result<u16, Fault> {
        self.array(at).map(u16::from_ne_bytes)
    }

    fn u32(self, at: usize) -> Result<u32, Fault> {
        self.array(at).map(u32::from_ne_bytes)
    }

    fn u64(self, at: usize) -> Result<u64, Fault> {
        self.array(at).map(u64::from_ne_bytes)
    }

    fn span(self, offset: u64, size: u64) -> Result<Self, Fault> {
        let offset = usize::try_from(offset).map_err(|_| Fault::Truncated)?;
        let size = usize::try_from(size).map_err(|_| Fault::Truncated)?;
        self.range(offset, size).map(File)
    }

    fn section(self, header: usize) -> Result<Self, Fault> {
        self.span(self.u64(header + 24)?, self.u64(header + 32)?)
    }

    /// A table whose offset, entry size and count stand at these places of the ELF header.
    fn table(self, offset: usize, size: usize, count: usize, least: usize) -> Result<Table, Fault> {
        let start = usize::try_from(self.u64(offset)?).map_err(|_| Fault::Truncated)?;
        let (size, count) = (usize::from(self.u16(size)?), usize::from(self.u16(count)?));
        if count > 0 && size < least {
            return Err(Fault::Truncated);
        }
        self.range(start, size * count)?;
        Ok(Table { start, size, count })
    }

    /// The text that starts at `at` and ends before the next NUL.
    fn text(self, at: usize) -> Option<&'a [u8]> {
        let rest = self.0.get(at..)?;
        rest.get(..rest.iter().position(|b| *b == 0)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_executable_has_no_entry() {
        let bytes = std::fs::read("/proc/self/exe").unwrap();
        assert!(matches!(check(&bytes, "exedra_plugin_v1"), Err(Fault::NoSymbol | Fault::StaticTls)));
    }

    #[test]
    fn text_is_not_elf() {
        assert_eq!(check(b"#!/bin/sh", "x"), Err(Fault::NotElf));
    }

    #[test]
    fn every_cut_is_refused() {
        let bytes = std::fs::read("/proc/self/exe").unwrap();
        for len in [4, 5, 17, 40, 63, 64, 100, bytes.len() / 2] {
            assert!(check(&bytes[..len], "main").is_err(), "{len}");
        }
    }
}
