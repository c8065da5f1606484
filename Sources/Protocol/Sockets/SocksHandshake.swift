import Glibc

/// The client's messages for a connection through a SOCKS5 proxy without a password (RFC 1928).
enum SocksHandshake {
    /// Version 5, and one method: no authentication.
    static let greeting: [UInt8] = [5, 1, 0]
    /// Length of the answer to the greeting, in bytes.
    static let choiceSize = 2
    /// Length of the beginning of the reply, from which the total length is known.
    static let replyHeadSize = 5

    /// Why the answer to the greeting does not allow the handshake to continue; nil if it does.
    static func problem(choice: [UInt8]) -> String? {
        guard choice.count == choiceSize, choice[0] == 5 else { return notSocks }
        return choice[1] == 0 ? nil : "it requires a password, which is not supported"
    }

    /// The request for a connection.
    ///
    /// - Parameters:
    ///   - host: a numeric address, without brackets
    ///   - port: the destination's port
    /// - Returns: nil if `host` is not an address
    static func request(host: String, port: UInt16) -> [UInt8]? {
        var (four, six) = (in_addr(), in6_addr())
        let address: [UInt8]
        if inet_pton(AF_INET, host, &four) == 1 {
            address = [1] + withUnsafeBytes(of: &four, Array.init)
        } else if inet_pton(AF_INET6, host, &six) == 1 {
            address = [4] + withUnsafeBytes(of: &six, Array.init)
        } else {
            return nil
        }
        return [5, 1, 0] + address + [UInt8(port >> 8), UInt8(port & 0xff)]
    }

    /// Total length of a reply that begins like this, in bytes; nil if it is not a reply.
    static func replySize(_ head: [UInt8]) -> Int? {
        guard head.count == replyHeadSize, head[0] == 5 else { return nil }
        switch head[3] {
        case 1: return 4 + 4 + 2
        case 3: return 4 + 1 + Int(head[4]) + 2
        case 4: return 4 + 16 + 2
        default: return nil
        }
    }

    /// Why the connection failed, according to the reply; nil if it was established.
    static func problem(reply head: [UInt8]) -> String? {
        guard replySize(head) != nil else { return notSocks }
        let reasons = [
            1: "it failed", 2: "it is not allowed to", 3: "the network is unreachable",
            4: "the host is unreachable", 5: "the connection was refused", 6: "it took too long",
        ]
        guard head[1] != 0 else { return nil }
        return "it cannot reach the coordinator: \(reasons[Int(head[1])] ?? "error \(head[1])")"
    }

    static let notSocks = "the server there is not a SOCKS5 proxy"
}
