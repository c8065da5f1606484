import Engine
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

/// Blocking HTTP client for a service, for commands that have nothing else to do.
package struct ServiceClient: Sendable {
    package let address: ServiceAddress
    private let token: String?
    private let user: String?
    private let tls: NIOSSLContext?

    /// A request body and its content type.
    package struct Body: Sendable {
        let bytes: [UInt8]
        let type: String

        package init(json: JSON) { (bytes, type) = (json.answer, "application/json") }
        package init(_ bytes: [UInt8], type: String) { (self.bytes, self.type) = (bytes, type) }
    }

    /// - Parameters:
    ///   - address: address of the service
    ///   - token: the token; nil if the service requires none
    ///   - user: the user to act as; nil for the owner of the token
    ///   - authority: file with trusted CA certificates; nil for the system's
    /// - Throws: `InputError` if the file cannot be read
    package init(
        _ address: ServiceAddress,
        token: String?,
        user: String?,
        authority: String?
    ) throws(InputError) {
        (self.address, self.token, self.user) = (address, token, user)
        guard address.isEncrypted else {
            tls = nil
            return
        }
        var configuration = TLSConfiguration.makeClientConfiguration()
        if let authority { configuration.trustRoots = .file(authority) }
        do {
            tls = try NIOSSLContext(configuration: configuration)
        } catch {
            throw InputError(
                authority.map { "--server-ca \($0)" } ?? "the system's certificates",
                "they cannot be read",
                fix: "Name a file of certificates in the form PEM with --server-ca"
            )
        }
    }

    /// Sends a request and waits for the head of the response.
    ///
    /// - Parameters:
    ///   - method: HTTP method, such as `GET`
    ///   - path: path and query, relative to the service's address
    ///   - body: the request body; nil if there is none
    ///   - headers: additional headers
    /// - Returns: the response, whatever its status
    /// - Throws: `ServiceClientError` if the service does not respond
    package func send(
        _ method: String,
        _ path: String,
        body: Body? = nil,
        headers: [(name: String, value: String)] = []
    ) throws -> ServerAnswer {
        let reader = AnswerReader()
        let channel: any Channel
        do {
            channel = try connect(reader)
        } catch {
            throw ServiceClientError.unreachable("\(address)", reason: Self.reason(error))
        }
        var head = HTTPRequestHead(
            version: .http1_1,
            method: HTTPMethod(rawValue: method),
            uri: address.prefix + path
        )
        head.headers.add(name: "Host", value: address.authority)
        head.headers.add(name: "User-Agent", value: "tessera")
        head.headers.add(name: "Connection", value: "close")
        if let token { head.headers.add(name: "Authorization", value: "Bearer \(token)") }
        if let user { head.headers.add(name: "Tessera-User", value: user) }
        for (name, value) in headers { head.headers.add(name: name, value: value) }
        if let body {
            head.headers.add(name: "Content-Type", value: body.type)
            head.headers.add(name: "Content-Length", value: "\(body.bytes.count)")
        }
        channel.write(HTTPClientRequestPart.head(head), promise: nil)
        if let body {
            channel.write(
                HTTPClientRequestPart.body(.byteBuffer(ByteBuffer(bytes: body.bytes))),
                promise: nil
            )
        }
        channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
        return try ServerAnswer(reader, channel, place: "\(address)")
    }

    /// Sends a request and parses the JSON response.
    ///
    /// - Returns: the parsed response
    /// - Throws: `ServiceClientError` if the service does not respond or refuses the request
    package func json(
        _ method: String,
        _ path: String,
        body: Body? = nil,
        headers: [(name: String, value: String)] = []
    ) throws -> JSON {
        let answer = try send(method, path, body: body, headers: headers)
        let bytes = try answer.all()
        try check(answer, bytes)
        guard let json = try? JSON(bytes, place: "the answer") else {
            throw ServiceClientError.foreign("\(address)")
        }
        return json
    }

    /// - Throws: `ServiceClientError` if the response is an error
    package func check(_ answer: ServerAnswer, _ body: @autoclosure () throws -> [UInt8]) throws {
        guard !(200..<300).contains(answer.status) else { return }
        throw ServiceClientError(status: answer.status, body: try body(), from: address)
    }

    private func connect(_ reader: AnswerReader) throws -> any Channel {
        let (tls, host) = (tls, address.host)
        return try ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connectTimeout(.seconds(10))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    if let tls {
                        // A certificate for an IP address is verified without a host name.
                        let isName = (try? SocketAddress(ipAddress: host, port: 0)) == nil
                        try pipeline.addHandler(
                            NIOSSLClientHandler(
                                context: tls,
                                serverHostname: isName ? host : nil
                            )
                        )
                    }
                    try pipeline.addHTTPClientHandlers()
                    try pipeline.addHandler(reader)
                }
            }
            .connect(host: host, port: address.port)
            .wait()
    }

    /// Why a connection failed, in a few words.
    static func reason(_ error: any Error) -> String {
        switch error {
        case let error as NIOConnectionError:
            if let first = error.connectionErrors.first { return reason(first.error) }
            return "the host is unknown"
        case let error as IOError: return String(cString: strerror(error.errnoCode)).lowercased()
        case let error as ChannelError:
            if case .connectTimeout = error { return "no answer in ten seconds" }
            return "the connection was closed"
        case is NIOSSLError, is NIOSSLExtraError, is BoringSSLError:
            return "its certificate is not trusted, or it does not speak TLS; see --server-ca"
        case HTTPParserError.invalidEOFState: return "the connection was closed"
        case is HTTPParserError: return "it does not speak HTTP"
        default: return oneLine("\(error)", limit: 200)
        }
    }
}
