//! What is shown of users who do not exist, so that nobody learns by asking who does: of one name always the same, which
//! only this node can tell from the true.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use aws_lc_rs::hmac;
use contract::base64::Base64;
use contract::feed::ScramKeys;
use contract::ids::InstanceId;

use crate::scram::KEY_BYTES;

/// The bytes of a salt, and the iterations, as the control plane makes them.
const SALT_BYTES: usize = 16;
const ITERATIONS: u32 = 4096;

/// Makes up what is not there.
pub(crate) struct Decoy {
    key: hmac::Key,
}

impl Decoy {
    /// With a key that is kept in a file: what is made up must not change with a start, as what is true does not.
    pub(crate) fn open(path: &Path) -> Self {
        let key = keep_key(path).unwrap_or_else(|error| {
            tracing::warn!(error = ?error, "the key of made-up salts cannot be kept: it is good until the next start");
            drawn().unwrap_or_default()
        });
        Self::new(&key)
    }

    pub(crate) fn new(key: &[u8; KEY_BYTES]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key) }
    }

    /// What would be kept of a secret of this user. There is none that it is made of.
    pub(crate) fn keys(&self, instance: InstanceId, username: &str) -> ScramKeys {
        let of = |what: &str| {
            let named = [what.as_bytes(), instance.0.as_bytes(), username.as_bytes()].concat();
            hmac::sign(&self.key, &named).as_ref().to_vec()
        };
        let mut salt = of("salt");
        salt.truncate(SALT_BYTES);
        ScramKeys {
            salt: Base64(salt),
            iterations: ITERATIONS,
            stored_key: Base64(of("stored")),
            server_key: Base64(of("server")),
        }
    }
}

fn drawn() -> io::Result<[u8; KEY_BYTES]> {
    let mut key = [0; KEY_BYTES];
    aws_lc_rs::rand::fill(&mut key).map_err(|_| io::Error::other("the system gives no randomness"))?;
    Ok(key)
}

fn keep_key(path: &Path) -> io::Result<[u8; KEY_BYTES]> {
    match fs::read(path) {
        Ok(kept) => {
            if let Ok(kept) = kept.try_into() {
                return Ok(kept);
            }
            // Half written when the node went down the first time.
            fs::remove_file(path)?;
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let key = drawn()?;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(&key)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_made_up_salt_stays_the_same_and_is_that_of_one_name_only() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("decoy.key");
        let (here, there) = (InstanceId(Uuid::from_u128(1)), InstanceId(Uuid::from_u128(2)));
        let salt = |instance, name| Decoy::open(&path).keys(instance, name).salt;
        assert_eq!(salt(here, "meter"), salt(here, "meter"));
        assert_ne!(salt(here, "meter"), salt(here, "meters"));
        assert_ne!(salt(here, "meter"), salt(there, "meter"));
        let kept = Decoy::open(&path).keys(here, "meter");
        assert_eq!((kept.salt.0.len(), kept.stored_key.0.len()), (SALT_BYTES, KEY_BYTES));
        fs::write(&path, b"torn").expect("is written");
        assert_ne!(salt(here, "meter"), kept.salt, "a torn key is drawn anew");
        assert_eq!(salt(here, "meter"), salt(here, "meter"));
    }
}
