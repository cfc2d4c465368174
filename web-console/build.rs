//! Tells cargo that the console's build, once there or renewed, and the documentation must be embedded anew.

fn main() {
    // A path that is watched and absent would make every build a new one, so its folder is watched until it is there.
    let watched = if std::path::Path::new("dist").exists() { "dist" } else { "." };
    println!("cargo:rerun-if-changed={watched}");
    println!("cargo:rerun-if-changed=docs");
    println!("cargo:rerun-if-changed=build.rs");
}
