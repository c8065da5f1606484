import Foundation
import Protocol
import Synchronization

/// A SOCKS5 proxy for tests, in threads of this process.
final class FakeProxy: Sendable {
    /// How it treats clients.
    enum Manner: String, CaseIterable, Sendable {
        /// Forwards connections to IPv4 addresses.
        case passing
        /// Reports that the other side refused the connection.
        case refusing
        case wantingPassword
        /// Speaks another protocol.
        case web
        case closing
        case silent
    }

    let port: UInt16
    private let manner: Manner
    private let listener: Int32
    private let open = Mutex<[Int32]>([])

    /// - Parameters:
    ///   - manner: how it treats clients
    ///   - port: the port to listen on; 0: any
    /// - Throws: `SocketError` if it cannot listen
    init(_ manner: Manner, at port: UInt16 = 0) throws {
        self.manner = manner
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var one: Int32 = 1
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
        var address = Self.address(port)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let listener = listener
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, size) == 0 && listen(listener, 8) == 0
                    && getsockname(listener, $0, &size) == 0
            }
        }
        guard isBound else { throw SocketError("bind", code: errno) }
        self.port = UInt16(bigEndian: address.sin_port)
        _ = NamedThread("fake proxy") { [self] in
            while true {
                let client = accept(listener, nil, nil)
                guard client >= 0 else { return }
                open.withLock { $0.append(client) }
                _ = NamedThread("fake proxy") { [self] in serve(client) }
            }
        }
    }

    /// Stops it, as if it were killed.
    func stop() {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
        for client in open.withLock({ $0 }) { shutdown(client, Int32(SHUT_RDWR)) }
    }

    private static func address(_ port: UInt16, _ host: in_addr? = nil) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr = host ?? in_addr(s_addr: INADDR_LOOPBACK.bigEndian)
        return address
    }

    private func serve(_ client: Int32) {
        func read(_ count: Int) -> [UInt8] {
            var bytes = [UInt8](repeating: 0, count: count)
            let size = recv(client, &bytes, count, Int32(MSG_WAITALL))
            return Array(bytes.prefix(max(0, size)))
        }
        func answer(_ bytes: [UInt8]) { _ = send(client, bytes, bytes.count, Int32(MSG_NOSIGNAL)) }
        switch manner {
        case .silent: return
        case .closing: break
        case .web: answer(Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8))
        case .wantingPassword:
            _ = read(3)
            answer([5, 0xff])
        case .refusing, .passing:
            _ = read(3)
            answer([5, 0])
            let request = read(10)
            guard manner == .passing, request.count == 10 else {
                answer([5, 5, 0, 1] + [UInt8](repeating: 0, count: 6))
                break
            }
            var host = in_addr()
            withUnsafeMutableBytes(of: &host) { $0.copyBytes(from: request[4..<8]) }
            pass(client, to: Self.address(UInt16(request[8]) << 8 | UInt16(request[9]), host))
            return
        }
        shutdown(client, Int32(SHUT_RDWR))
    }

    private func pass(_ client: Int32, to address: sockaddr_in) {
        let far = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        open.withLock { $0.append(far) }
        var address = address
        let isThere = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(far, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        let reply: [UInt8] = [5, isThere ? 0 : 5, 0, 1, 0, 0, 0, 0, 0, 0]
        _ = send(client, reply, reply.count, Int32(MSG_NOSIGNAL))
        guard isThere else {
            shutdown(client, Int32(SHUT_RDWR))
            return
        }
        for (from, to) in [(client, far), (far, client)] {
            _ = NamedThread("fake proxy") {
                var buffer = [UInt8](repeating: 0, count: 1 << 16)
                while true {
                    let count = recv(from, &buffer, buffer.count, 0)
                    guard count > 0, send(to, buffer, count, Int32(MSG_NOSIGNAL)) == count else {
                        break
                    }
                }
                shutdown(from, Int32(SHUT_RDWR))
                shutdown(to, Int32(SHUT_RDWR))
            }
        }
    }
}
