//! The programs that the tests need beside Rust and Node.js: one list. What is missing is
//! installed by apt where that may be done without asking; otherwise the one line that does it is printed.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::tools::say;

/// A program, where it is looked for, and the package of Debian and Ubuntu that brings it.
struct Need {
    /// Names another program of the kind, for machines that keep theirs elsewhere.
    variable: &'static str,
    /// A program without a slash is looked for in `PATH`.
    places: &'static [&'static str],
    package: &'static str,
    purpose: &'static str,
}

const NATS: Need = Need {
    variable: "NATS_SERVER",
    places: &["/usr/sbin/nats-server", "nats-server"],
    package: "nats-server",
    purpose: "the tests of several relays",
};

/// For `cargo xtask test`.
const TESTS: &[Need] = &[
    Need {
        variable: "CHROMIUM",
        places: &["/usr/bin/chromium", "chromium"],
        package: "chromium",
        purpose: "the tests in a browser",
    },
    NATS,
    Need {
        variable: "NGINX",
        places: &["/usr/sbin/nginx", "nginx"],
        package: "nginx-light",
        purpose: "the tests behind a proxy",
    },
    Need {
        variable: "HAPROXY",
        places: &["/usr/sbin/haproxy", "haproxy"],
        package: "haproxy",
        purpose: "the tests behind a proxy",
    },
    // The tests fetch it by themselves, with pip (tests/harness/otlp.mjs).
    Need {
        variable: "ROTEL",
        places: &[
            "target/tools/rotel-0.0.1a15/rotel/rotel-agent",
            "pip3",
            "pip",
        ],
        package: "python3-pip",
        purpose: "the OTLP receiver of the tests of traces",
    },
    Need {
        variable: "OPENSSL",
        places: &["openssl"],
        package: "openssl",
        purpose: "the certificates of those proxies",
    },
];

/// For `cargo xtask torture`.
const TORTURE: &[Need] = &[
    NATS,
    Need {
        variable: "CC",
        places: &["cc"],
        package: "gcc libc6-dev",
        purpose: "the library that loses power",
    },
    Need {
        variable: "PYTHON",
        places: &["python3"],
        package: "python3",
        purpose: "what holds locks of the database",
    },
];

/// For `cargo xtask fuzz`: the fuzzer itself is C++.
const FUZZING: &[Need] = &[Need {
    variable: "CXX",
    places: &["c++"],
    package: "g++",
    purpose: "the fuzzer",
}];

pub fn for_tests() -> Result<()> {
    install(TESTS)
}

pub fn for_torture() -> Result<()> {
    install(TORTURE)
}

pub fn for_fuzzing() -> Result<()> {
    install(FUZZING)
}

fn install(needs: &[Need]) -> Result<()> {
    let missing = missing(needs);
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    let line = format!(
        "apt-get update && apt-get install --yes --no-install-recommends {}",
        packages.join(" ")
    );
    let Some(shell) = shell_of_root() else {
        bail!(
            "{}. On Debian or Ubuntu, this line installs all of it:\n\n    sudo sh -c '{line}'\n",
            complaint(&missing)
        );
    };
    say(&format!("Installing {}", packages.join(", ")));
    // Some packages start their program as a service, which this run level prevents unless there is systemd.
    let status = Command::new(shell[0])
        .args(&shell[1..])
        .arg(format!(
            "export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1; {line}"
        ))
        .status();
    let missing = self::missing(needs);
    if !missing.is_empty() {
        let failed = !status.is_ok_and(|status| status.success());
        let why = if failed {
            "apt-get failed"
        } else {
            "apt-get ran, and yet"
        };
        bail!("{why}: {}", complaint(&missing));
    }
    Ok(())
}

fn missing(needs: &[Need]) -> Vec<&Need> {
    needs.iter().filter(|need| !need.is_there()).collect()
}

impl Need {
    fn is_there(&self) -> bool {
        let named = std::env::var(self.variable).ok();
        named
            .iter()
            .map(String::as_str)
            .chain(self.places.iter().copied())
            .any(exists)
    }
}

/// Whether a program is there. It is not run: not all of them know `--version`.
fn exists(program: &str) -> bool {
    if program.contains('/') {
        return Path::new(program).is_file();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn complaint(missing: &[&Need]) -> String {
    let of = |need: &&Need| {
        format!(
            "{} is missing, for {} (the variable {} names one that is elsewhere)",
            need.package, need.purpose, need.variable
        )
    };
    missing.iter().map(of).collect::<Vec<_>>().join("; ")
}

/// What runs a line of shell as root without asking for a password, on a system that has apt.
fn shell_of_root() -> Option<&'static [&'static str]> {
    if !exists("apt-get") {
        return None;
    }
    let is_root = |shell: &[&str]| {
        let output = Command::new(shell[0])
            .args(&shell[1..])
            .arg("id -u")
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output();
        output.is_ok_and(|output| output.stdout == b"0\n")
    };
    let shells: [&'static [&'static str]; 2] = [&["sh", "-c"], &["sudo", "-n", "sh", "-c"]];
    shells.into_iter().find(|shell| is_root(shell))
}

#[cfg(test)]
mod tests {
    use super::*;

    const THERE: Need = Need {
        variable: "PARLOUR_TEST_NO_SUCH_VARIABLE",
        places: &["no-such-program", "sh"],
        package: "dash",
        purpose: "this test",
    };
    const AWAY: Need = Need {
        places: &["/no/such/program", "no-such-program"],
        package: "no-such-package",
        ..THERE
    };

    #[test]
    fn what_is_missing_is_named_with_its_package() {
        let needs = [THERE, AWAY];
        let missing = missing(&needs);
        let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
        assert_eq!(packages, ["no-such-package"]);
        assert!(complaint(&missing).contains("PARLOUR_TEST_NO_SUCH_VARIABLE"));
        install(&[THERE]).unwrap();
    }
}
