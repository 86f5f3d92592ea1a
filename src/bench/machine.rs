//! Information from the operating system about the machine and this process.

/// The peak resident set size of this process so far, in bytes, if the system reports it (Linux).
pub fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kibibytes = value(&status, "VmHWM")?.strip_suffix("kB")?;
    Some(kibibytes.trim().parse::<u64>().ok()? * 1024)
}

/// The processor's name, if the system reports it (Linux).
pub fn cpu_name() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    value(&text, "model name").map(str::to_owned)
}

/// The value of the first line `key: value`.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_by_key() {
        let text = "Name:\tbirnn\nVmHWM:\t  1234 kB\nmodel name\t: A CPU: fast\n";
        assert_eq!(value(text, "VmHWM"), Some("1234 kB"));
        assert_eq!(value(text, "model name"), Some("A CPU: fast"));
        assert_eq!(value(text, "model"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_a_peak() {
        assert!(peak_memory_bytes().unwrap() > 1 << 20);
    }
}
