//! What `proto/seen.proto` becomes.
#![allow(missing_docs, reason = "it is generated")]

tonic::include_proto!("seen");
