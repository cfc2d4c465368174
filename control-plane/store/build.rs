//! Makes a new migration rebuild this crate, which embeds them all.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations");
}
