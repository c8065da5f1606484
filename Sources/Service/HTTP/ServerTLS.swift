import Engine
import Foundation
import Hummingbird
import HummingbirdCore
import HummingbirdTLS
import NIOSSL

/// TLS with a certificate from files.
package struct ServerTLS: Sendable {
    private let configuration: TLSConfiguration

    /// Loads and checks the files.
    ///
    /// - Parameters:
    ///   - certificate: PEM file with the certificate and its intermediate certificates
    ///   - key: PEM file with the private key
    /// - Throws: `InputError` naming the flag if a file cannot be used, or the two do not match
    package init(certificate: String, key: String) throws(InputError) {
        let chain: [NIOSSLCertificate]
        do {
            chain = try NIOSSLCertificate.fromPEMFile(certificate)
        } catch {
            throw InputError(
                "--tls-certificate \(certificate)",
                FileKind(certificate) == .regular
                    ? "it has no certificate in the form PEM" : "there is no such file",
                fix: "Name the file with the certificate and those that it was signed with"
            )
        }
        let secret: NIOSSLPrivateKey
        do {
            secret = try NIOSSLPrivateKey(file: key, format: .pem)
        } catch {
            throw InputError(
                "--tls-key \(key)",
                FileKind(key) == .regular
                    ? "it has no private key in the form PEM, or is protected by a password"
                    : "there is no such file",
                fix: "Name the file with the certificate's private key"
            )
        }
        var status = stat()
        guard stat(key, &status) == 0, status.st_mode & 0o077 == 0 else {
            throw InputError(
                "--tls-key \(key)",
                "others on this machine can read it",
                fix: "chmod 600 it"
            )
        }
        configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) },
            privateKey: .privateKey(secret)
        )
        do {
            _ = try NIOSSLContext(configuration: configuration)
        } catch {
            throw InputError(
                "--tls-key \(key)",
                "it is not the key of \(certificate)",
                fix: "Name the two files that belong together"
            )
        }
    }

    /// Wraps an HTTP server in TLS.
    func server(around plain: HTTPServerBuilder) throws -> HTTPServerBuilder {
        try .tls(plain, tlsConfiguration: configuration)
    }
}
