//! Certificates for servers that speak TLS.

use std::fs;
use std::path::{Path, PathBuf};

use crate::folder::Folder;
use crate::processes::{Program, find};

/// An authority of its own and a certificate by it, for `localhost` and `127.0.0.1`, which is good for a client too.
#[derive(Debug)]
pub struct Certificates {
    folder: Folder,
}

const CA: &str = "ca.pem";
const CA_KEY: &str = "ca-key.pem";
const SERVER: &str = "server.pem";
const SERVER_KEY: &str = "server-key.pem";
const REQUEST: &str = "server-request.pem";
const CONFIG: &str = "openssl.cnf";

/// The whole of OpenSSL's configuration, as what a system's own adds varies. Clients insist on these extensions.
const EXTENSIONS: &str = "\
[req]
distinguished_name = name

[name]

[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash

[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = DNS:localhost, IP:127.0.0.1
";

const NEW_KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";

impl Certificates {
    /// Makes a new authority and the certificate. Their files are there until this is dropped.
    pub fn make() -> Self {
        let folder = Folder::new("certificates", "KILL");
        fs::write(folder.path().join(CONFIG), EXTENSIONS).expect("the folder is ours");
        let path = find("openssl", "openssl");
        let openssl = |command: &str, name: Option<&str>| {
            let mut arguments: Vec<_> = command.split(' ').map(str::to_owned).collect();
            if let Some(name) = name {
                arguments.extend(["-subj".to_owned(), format!("/CN={name}")]);
            }
            folder.run(&Program {
                path: path.clone(),
                arguments,
                user: None,
            });
        };
        openssl(
            &format!(
                "req -x509 -config {CONFIG} -extensions authority {NEW_KEY} -keyout {CA_KEY} -days 2 -out {CA}"
            ),
            Some("Authority of a test"),
        );
        openssl(
            &format!("req -new -config {CONFIG} {NEW_KEY} -keyout {SERVER_KEY} -out {REQUEST}"),
            Some("localhost"),
        );
        openssl(
            &format!(
                "x509 -req -in {REQUEST} -CA {CA} -CAkey {CA_KEY} -CAcreateserial -days 2 \
                 -extfile {CONFIG} -extensions server -out {SERVER}"
            ),
            None,
        );
        Self { folder }
    }

    /// The folder with all files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The authority's certificate, for a client that is to trust it.
    pub fn ca_pem(&self) -> String {
        fs::read_to_string(self.ca()).expect("it has been made")
    }

    /// The file of the authority's certificate.
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join(CA)
    }

    /// The file of the server's certificate.
    pub fn server_cert(&self) -> PathBuf {
        self.folder.path().join(SERVER)
    }

    /// The file of the server's key, which only the user who runs the tests may read.
    pub fn server_key(&self) -> PathBuf {
        self.folder.path().join(SERVER_KEY)
    }
}
