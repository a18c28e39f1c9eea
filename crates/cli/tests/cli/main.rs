//! The program from outside: the built binary, its exit codes, what it prints and what it leaves behind.
//!
//! `house.rs` starts it; the other files are named after the commands they try.

#[cfg(test)]
mod backup;
#[cfg(test)]
mod canaries;
#[cfg(test)]
mod client;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod example;
#[cfg(test)]
mod files;
#[cfg(test)]
mod follow;
#[cfg(test)]
mod house;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod master_key;
#[cfg(test)]
mod mcp;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod nodes;
#[cfg(test)]
mod office;
#[cfg(test)]
mod restore;
#[cfg(test)]
mod serve;
#[cfg(test)]
mod slow_http;
#[cfg(test)]
mod traces;
