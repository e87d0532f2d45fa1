//! Compiles the contract in `proto/`, without a protoc on the machine.
//!
//! It writes a descriptor set for reflection, the same without comments for the catalogue,
//! which is made of it at every start, and the code
//! of the services that the gateway itself answers. The annotations of the partners' services are
//! checked first: one that is missing or wrong fails the build with file and line.
#![allow(dead_code, unreachable_pub, reason = "its modules are shared with the library")]

#[path = "src/operation/check.rs"]
mod check;
#[path = "src/operation/options.rs"]
mod options;
#[path = "src/operation/path.rs"]
mod path;
#[path = "src/operation/rules.rs"]
mod rules;
#[path = "src/operation/schema.rs"]
mod schema;

use std::error::Error;
use std::path::{Path, PathBuf};

use prost_reflect::DescriptorPool;
use prost_types::{FileDescriptorProto, FileDescriptorSet};

const ROOT: &str = "proto";
/// The folders whose files are ours; the rest of `proto/` is vendored.
const OURS: [&str; 4] = ["gateway", "trolley", "trustap", "trustist"];
/// The vendored folder whose service the gateway serves; of the others it takes what it imports.
const SERVED: &str = "grpc";
/// Messages and services that the gateway itself reads, writes and answers.
const GENERATED: [&str; 2] = ["gateway/v1/", "grpc/health/v1/"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={ROOT}");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    let mut files = Vec::new();
    for folder in OURS.into_iter().chain([SERVED]) {
        find_protos(&Path::new(ROOT).join(folder), &mut files)?;
    }
    files.sort();
    let mut compiler = protox::Compiler::new([ROOT])?;
    compiler.include_imports(true).include_source_info(true).open_files(&files)?;
    let pool = compiler.descriptor_pool();
    refuse(&check::check(&pool), &pool)?;
    let is_ours = |name: &str| OURS.iter().any(|folder| name.starts_with(&format!("{folder}/")));
    std::fs::write(out.join("descriptors.bin"), encoded(&pool, is_ours))?;
    std::fs::write(out.join("contract.bin"), encoded(&pool, |_| false))?;
    generate(compiler.file_descriptor_set())?;
    Ok(())
}

fn find_protos(folder: &Path, into: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find_protos(&path, into)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            into.push(path);
        }
    }
    Ok(())
}

/// Fails with one line for each finding, as a compiler would.
fn refuse(findings: &[check::Finding], pool: &DescriptorPool) -> Result<(), &'static str> {
    for finding in findings {
        let line = line_of(finding, pool).unwrap_or_default();
        let check::Finding { file, element, problem, .. } = finding;
        println!("cargo::error={ROOT}/{file}:{line}: {element}: {problem}");
    }
    if findings.is_empty() { Ok(()) } else { Err("the contract cannot be served") }
}

fn line_of(finding: &check::Finding, pool: &DescriptorPool) -> Option<i32> {
    let file = pool.get_file_by_name(&finding.file)?;
    let info = file.file_descriptor_proto().source_code_info.as_ref()?;
    let location = info.location.iter().find(|location| location.path == finding.path)?;
    location.span.first().map(|line| line + 1)
}

/// The encoded set, custom options kept, with the comments of those files that are asked
/// for: `grpcurl describe` shows ours, and the vendored files' would double its size.
fn encoded(pool: &DescriptorPool, keeps_comments: impl Fn(&str) -> bool) -> Vec<u8> {
    let mut set = prost_reflect::bytes::BytesMut::new();
    for file in pool.files() {
        let encoded = file.encode_to_vec();
        let encoded = match keeps_comments(file.name()) {
            true => encoded,
            false => without_source_info(&encoded),
        };
        prost::encoding::bytes::encode(1, &encoded, &mut set);
    }
    set.to_vec()
}

/// Drops field 9 (`source_code_info`) of an encoded `FileDescriptorProto`, leaving
/// every other byte: decoding it into prost's types would lose its custom options.
fn without_source_info(file: &[u8]) -> Vec<u8> {
    const SOURCE_CODE_INFO: u32 = 9;
    let mut rest = file;
    let mut kept = Vec::with_capacity(file.len());
    while !rest.is_empty() {
        let before = rest;
        let Ok((tag, wire_type)) = prost::encoding::decode_key(&mut rest) else { break };
        let context = prost::encoding::DecodeContext::default();
        if prost::encoding::skip_field(wire_type, tag, &mut rest, context).is_err() {
            break;
        }
        if tag != SOURCE_CODE_INFO {
            kept.extend_from_slice(before.get(..before.len() - rest.len()).unwrap_or_default());
        }
    }
    kept
}

/// Writes prost messages and tonic services for what the gateway itself answers only:
/// partner packages are interpreted.
fn generate(mut set: FileDescriptorSet) -> Result<(), Box<dyn Error>> {
    let is_generated =
        |file: &FileDescriptorProto| GENERATED.iter().any(|folder| file.name().starts_with(folder));
    set.file.retain(|file| is_generated(file) || file.name().starts_with("google/protobuf/"));
    tonic_prost_build::configure()
        .build_transport(false)
        .compile_fds_with_config(set, prost_build::Config::new())?;
    Ok(())
}
