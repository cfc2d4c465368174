//! How a node joins: its own secret on disk first, then the controller's word for it.
//!
//! The secret never leaves the node but to prove itself; the controller keeps its hash. Since the secret is on disk
//! before anybody hears of it, enrolling again after a crash or a lost answer is the same enrolment.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use contract::base64::Base64;
use contract::ids::NodeId;
use contract::node::{EnrolRequest, NODE_SECRET_BYTES};
use serde::{Deserialize, Serialize};

use crate::node_client::{CallError, NodeClient};

/// Who a node is and how it proves it.
pub(crate) struct NodeKey {
    /// Its id.
    pub(crate) node: NodeId,
    /// Its secret.
    pub(crate) secret: [u8; NODE_SECRET_BYTES],
}

/// Fills the bytes with chance that nobody can guess.
pub(crate) type Draw = fn(&mut [u8]) -> Result<(), NoRandomness>;

/// The system gives no randomness.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no randomness")]
pub(crate) struct NoRandomness;

/// Why a node has no key to use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnrolError {
    /// It has not enrolled, and nothing says that it may.
    #[error("the node has not enrolled and no join token is given")]
    NoJoinToken,
    /// The key file cannot be read or written.
    #[error("the node key `{}` cannot be used", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The key file is open to others.
    #[error("the node key `{}` is open to others: run `chmod 600` on it", .path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// The key file holds something else.
    #[error("`{}` is no node key: move it away and enrol the node again", .path.display())]
    NotAKey {
        /// The file.
        path: PathBuf,
    },
    /// No secret can be drawn.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The controller did not enrol it.
    #[error("the node cannot enrol")]
    Call(#[from] CallError),
}

impl EnrolError {
    /// Whether trying again may help without anybody doing something.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Call(error) => error.is_passing(),
            Self::NoJoinToken
            | Self::File { .. }
            | Self::Exposed { .. }
            | Self::NotAKey { .. }
            | Self::NoRandomness(_) => false,
        }
    }
}

/// The key file.
#[derive(Serialize, Deserialize)]
struct Stored {
    secret: Base64,
    /// None until the controller has said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<NodeId>,
}

/// The system's own randomness.
pub(crate) fn draw(bytes: &mut [u8]) -> Result<(), NoRandomness> {
    aws_lc_rs::rand::fill(bytes).map_err(|_| NoRandomness)
}

/// What a node says of itself when it enrols.
#[derive(Clone, Copy)]
pub(crate) struct Candidate<'a> {
    /// The right to join.
    pub(crate) join_token: Option<&'a str>,
    /// What people call it.
    pub(crate) name: &'a str,
    /// Where its own listener is; none: it is closed.
    pub(crate) address: Option<&'a str>,
}

/// The node's key: from the file at `path`, else by enrolling.
///
/// One attempt; said again it goes on where the last one ended, with the same secret.
pub(crate) async fn enrol(
    path: &Path,
    client: &NodeClient,
    candidate: Candidate<'_>,
    draw: Draw,
) -> Result<NodeKey, EnrolError> {
    let found = load(path)?;
    if let Some((secret, Some(node))) = found {
        return Ok(NodeKey { node, secret });
    }
    let join_token = candidate.join_token.ok_or(EnrolError::NoJoinToken)?;
    let secret = if let Some((secret, _)) = found {
        secret
    } else {
        let mut secret = [0; NODE_SECRET_BYTES];
        draw(&mut secret)?;
        store(path, &secret, None)?;
        secret
    };
    let request = EnrolRequest {
        join_token: join_token.to_owned(),
        secret_sha256: Base64(digest::digest(&digest::SHA256, &secret).as_ref().to_vec()),
        name: candidate.name.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        address: candidate.address.map(str::to_owned),
    };
    let node = client.enrol(&request).await?.node;
    store(path, &secret, Some(node))?;
    tracing::info!(node.id = %node, "enrolled");
    Ok(NodeKey { node, secret })
}

type Found = Option<([u8; NODE_SECRET_BYTES], Option<NodeId>)>;

fn load(path: &Path) -> Result<Found, EnrolError> {
    let at = |source| EnrolError::File { path: path.to_owned(), source };
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at(error)),
    };
    if fs::metadata(path).map_err(at)?.permissions().mode() & 0o077 != 0 {
        return Err(EnrolError::Exposed { path: path.to_owned() });
    }
    let not_a_key = || EnrolError::NotAKey { path: path.to_owned() };
    let stored: Stored = serde_json::from_slice(&text).map_err(|_| not_a_key())?;
    let secret = stored.secret.0.try_into().map_err(|_| not_a_key())?;
    Ok(Some((secret, stored.node)))
}

/// Writes the file whole or not at all: beside it, synced, and moved into its place.
fn store(path: &Path, secret: &[u8; NODE_SECRET_BYTES], node: Option<NodeId>) -> Result<(), EnrolError> {
    let at = |source| EnrolError::File { path: path.to_owned(), source };
    let stored = Stored { secret: Base64(secret.to_vec()), node };
    let mut text = serde_json::to_vec(&stored).expect("a struct of plain values serializes");
    text.push(b'\n');
    let dir = path.parent().unwrap_or(Path::new("."));
    let beside = path.with_extension("new");
    let write = || -> io::Result<()> {
        fs::create_dir_all(dir)?;
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {} // what a crash left, whose mode nobody vouches for
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        File::open(dir)?.sync_all()
    };
    write().map_err(at)
}

#[cfg(test)]
mod tests;
