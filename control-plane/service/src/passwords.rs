//! People's passwords: argon2id on a bounded number of threads, and the rules for a new one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use crate::error::Invalid;
use crate::seal::random;
use crate::secret::Secret;

/// The shortest password that a person may choose, in characters.
pub(crate) const PASSWORD_CHARS_MIN: usize = 12;
/// The longest, in bytes, since hashing costs by the byte.
pub(crate) const PASSWORD_BYTES_MAX: usize = 256;
/// Hashes computed at one time.
const HASHES_MAX: usize = 2;
/// Hashes waited for at one time: at 20 ms each, more would keep people waiting for seconds.
const WAITING_MAX: usize = 100;
/// 19 MiB, two passes, one lane: the first choice of the OWASP password storage rules.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;

/// Hashes passwords, a bounded number at one time.
pub(crate) struct PasswordHasher {
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// What an unknown account's password is compared with, so that it costs the same.
    nobody: String,
}

/// More passwords are waiting to be hashed than is sensible.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Busy;

impl PasswordHasher {
    pub(crate) fn new() -> Self {
        // A hash of nothing in particular: 32 zero bytes of digest are the digest of no known password.
        let nobody =
            format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p=1${}${}", "A".repeat(22), "A".repeat(43));
        Self { permits: Arc::new(Semaphore::new(HASHES_MAX)), waiting: AtomicUsize::new(0), nobody }
    }

    /// The PHC string of a password under a new salt.
    pub(crate) async fn hash(&self, password: &Secret) -> Result<String, Busy> {
        let password = password.clone();
        self.run(move || {
            argon2()
                .hash_password_with_salt(password.expose().as_bytes(), &random::<16>())
                .expect("the parameters are argon2's own and the salt has 16 bytes")
                .to_string()
        })
        .await
    }

    /// Whether the password is that of the PHC string; an account that has none costs the same.
    pub(crate) async fn verify(&self, password: &Secret, hash: Option<&str>) -> Result<bool, Busy> {
        let password = password.clone();
        let known = hash.is_some();
        let hash = hash.unwrap_or(&self.nobody).to_owned();
        self.run(move || {
            let Ok(hash) = PasswordHash::new(&hash) else { return false };
            let right = argon2().verify_password(password.expose().as_bytes(), &hash).is_ok();
            right && known
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let _waiting = Waiting::begin(&self.waiting)?;
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| Busy)?;
        let worked = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        });
        worked.await.map_err(|_| Busy)
    }
}

/// One who waits, counted for as long as it does, even if it gives up.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Result<Self, Busy> {
        let waiting = Self(count);
        if count.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX { Err(Busy) } else { Ok(waiting) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).expect("within argon2's bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// Whether a person may choose this password.
pub(crate) fn check_new_password(pointer: &str, password: &Secret, email: &str) -> Result<(), Invalid> {
    let text = password.expose();
    if text.chars().count() < PASSWORD_CHARS_MIN {
        let detail = format!("a password has at least {PASSWORD_CHARS_MIN} characters");
        return Err(Invalid::field(pointer, "too_short", detail));
    }
    if text.len() > PASSWORD_BYTES_MAX {
        let detail = format!("a password has at most {PASSWORD_BYTES_MAX} bytes");
        return Err(Invalid::field(pointer, "too_long", detail));
    }
    let mut characters = text.chars();
    let first = characters.next();
    if text.eq_ignore_ascii_case(email) || characters.all(|other| Some(other) == first) {
        return Err(Invalid::field(pointer, "invalid", "the password is too easy to guess"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_again_and_nobody_has_none() {
        let hasher = PasswordHasher::new();
        let password = Secret::new("correct horse battery".to_owned());
        let hash = hasher.hash(&password).await.expect("not busy");
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_eq!(hasher.verify(&password, Some(&hash)).await, Ok(true));
        assert_eq!(hasher.verify(&Secret::new("wrong".to_owned()), Some(&hash)).await, Ok(false));
        assert_eq!(hasher.verify(&password, None).await, Ok(false));
        assert!(PasswordHash::new(&hasher.nobody).is_ok(), "the comparison with nobody is a real one");
    }

    #[tokio::test]
    async fn one_too_many_is_turned_away_and_leaves_room_again() {
        let hasher = PasswordHasher::new();
        hasher.waiting.store(WAITING_MAX, Ordering::Relaxed);
        assert_eq!(hasher.verify(&Secret::new(String::new()), None).await, Err(Busy));
        assert_eq!(hasher.waiting.load(Ordering::Relaxed), WAITING_MAX);
        hasher.waiting.store(0, Ordering::Relaxed);
        assert_eq!(hasher.verify(&Secret::new(String::new()), None).await, Ok(false));
    }

    #[test]
    fn new_passwords() {
        for (password, good) in [
            ("short", false),
            ("elevenchars", false),
            ("twelve chars", true),
            ("aaaaaaaaaaaaaaaa", false),
            ("LI@example.com", false),
            (&"ab".repeat(128), true),
            (&"ab".repeat(129), false),
        ] {
            let secret = Secret::new(password.to_owned());
            assert_eq!(check_new_password("/new", &secret, "li@example.com").is_ok(), good, "{password}");
        }
    }
}
