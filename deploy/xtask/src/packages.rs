//! What the machine must have, and getting it from Debian where that is allowed.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use nix::unistd::geteuid;

use crate::run::{is_program, step};

/// Installs packages so that nothing of them runs afterwards; told in the file itself.
const INSTALL: &str = include_str!("install.sh");

/// Something the machine must have.
pub(crate) struct Need {
    /// For people: "PostgreSQL server".
    what: &'static str,
    is_there: fn() -> bool,
    /// Debian's packages that bring it.
    packages: &'static [&'static str],
    /// Whether we go on without it.
    optional: bool,
}

pub(crate) const C_COMPILER: Need = Need {
    what: "C compiler",
    is_there: || is_program("cc"),
    packages: &["gcc", "libc6-dev"],
    optional: false,
};

pub(crate) const MAKE: Need =
    Need { what: "make", is_there: || is_program("make"), packages: &["make"], optional: false };

pub(crate) const POSTGRES: Need = Need {
    what: "PostgreSQL server",
    is_there: postgres_server::is_installed,
    packages: &["postgresql"],
    optional: false,
};

pub(crate) const MOSQUITTO_CLIENTS: Need = Need {
    what: "mosquitto_pub and mosquitto_sub",
    is_there: || is_program("mosquitto_pub") && is_program("mosquitto_sub"),
    packages: &["mosquitto-clients"],
    optional: false,
};

/// A client of another project, in another language; for the Python of Debian.
pub(crate) const PAHO: Need = Need {
    what: "Python's paho-mqtt",
    is_there: || Path::new("/usr/lib/python3/dist-packages/paho/mqtt/client.py").is_file(),
    packages: &["python3-paho-mqtt"],
    optional: false,
};

/// For building the console; the Node.js that Debian brings along may be too old, and is then replaced through npm.
pub(crate) const NPM: Need =
    Need { what: "npm", is_there: || is_program("npm"), packages: &["nodejs", "npm"], optional: false };

/// For looking at the console.
pub(crate) const CHROMIUM: Need =
    Need { what: "Chromium", is_there: || is_program("chromium"), packages: &["chromium"], optional: false };

/// What Chinese is drawn with.
pub(crate) const CHINESE_FONTS: Need = Need {
    what: "fonts for Chinese",
    is_there: || Path::new("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc").is_file(),
    packages: &["fonts-noto-cjk"],
    optional: false,
};

/// A peer to be measured against; never started as a service.
pub(crate) const MOSQUITTO: Need = Need {
    what: "mosquitto broker",
    is_there: || is_program("mosquitto"),
    packages: &["mosquitto"],
    optional: false,
};

/// Counts instructions.
pub(crate) const VALGRIND: Need = Need {
    what: "valgrind",
    is_there: || is_program("valgrind") && is_program("vgdb"),
    packages: &["valgrind"],
    optional: false,
};

impl Need {
    /// The same, as a convenience.
    pub(crate) const fn optional(self) -> Self {
        Self { optional: true, ..self }
    }
}

/// Sees to it that everything is there: installs what is missing if we may, else says how to.
pub(crate) fn ensure(needs: &[Need]) -> Result<()> {
    let missing: Vec<&Need> = needs.iter().filter(|need| !(need.is_there)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().flat_map(|need| need.packages).copied().collect();
    let by_hand = format!("apt-get install {}", packages.join(" "));
    let outcome = match Installer::find() {
        Some(installer) => {
            step(&format!("installing {} ({})", packages.join(" "), names(&missing)));
            installer.install(&packages)
        }
        None => Err(anyhow::anyhow!("packages can be installed by root alone")),
    };
    let still_missing = |need: &&&Need| !(need.is_there)();
    let (optional, needed): (Vec<&Need>, Vec<&Need>) =
        missing.iter().filter(still_missing).partition(|need| need.optional);
    if !needed.is_empty() {
        let why = outcome.err().map(|error| format!(" ({error:#})")).unwrap_or_default();
        bail!("missing: {}{why}; as root run: {by_hand}", names(&needed));
    }
    if !optional.is_empty() {
        step(&format!("going on without {}; to have it, as root run: {by_hand}", names(&optional)));
    }
    Ok(())
}

fn names(needs: &[&Need]) -> String {
    needs.iter().map(|need| need.what).collect::<Vec<_>>().join(", ")
}

/// How packages may be installed here without asking anybody.
#[derive(Clone, Copy)]
enum Installer {
    Root,
    Sudo,
}

impl Installer {
    fn find() -> Option<Self> {
        if !is_program("apt-get") {
            return None;
        }
        if geteuid().is_root() {
            return Some(Self::Root);
        }
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", "true"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        sudo.status().is_ok_and(|status| status.success()).then_some(Self::Sudo)
    }

    fn install(self, packages: &[&str]) -> Result<()> {
        let mut command = match self {
            Self::Root => Command::new("sh"),
            Self::Sudo => {
                let mut command = Command::new("sudo");
                command.args(["-n", "sh"]);
                command
            }
        };
        command.args(["-c", INSTALL, "install"]).args(packages).stdin(Stdio::null());
        let status = command.status().context("cannot run `sh`")?;
        if !status.success() {
            bail!("apt-get failed");
        }
        Ok(())
    }
}
