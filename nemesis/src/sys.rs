//! The system calls that no safe wrapper covers: the only unsafe code of this crate.
