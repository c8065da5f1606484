import Glibc

/// The messages with which a client asks a SOCKS5 proxy without a password for a connection (RFC 1928). Pure.
enum SocksHandshake {
    /// Version 5, and one method: no authentication.
    static let greeting: [UInt8] = [5, 1, 0]
    /// Bytes of the answer to the greeting.
    static let choiceSize = 2
    /// Bytes of the beginning of the reply, which says how long it is.
    static let replyHeadSize = 5

    /// What the answer to the greeting says against going on; nil if nothing.
    static func problem(choice: [UInt8]) -> String? {
        guard choice.count == choiceSize, choice[0] == 5 else { return notSocks }
        return choice[1] == 0 ? nil : "it wants a password, and those are not supported"
    }

    /// Asks for a connection.
    ///
    /// - Parameters:
    ///   - host: an address in numbers, without brackets
    ///   - port: its port
    /// - Returns: nil for anything but an address
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

    /// Bytes of the whole reply that begins like this; nil if it is none.
    static func replySize(_ head: [UInt8]) -> Int? {
        guard head.count == replyHeadSize, head[0] == 5 else { return nil }
        switch head[3] {
        case 1: return 4 + 4 + 2
        case 3: return 4 + 1 + Int(head[4]) + 2
        case 4: return 4 + 16 + 2
        default: return nil
        }
    }

    /// What the reply says against going on; nil if the connection is there.
    static func problem(reply head: [UInt8]) -> String? {
        guard replySize(head) != nil else { return notSocks }
        let reasons = [
            1: "it failed", 2: "it is not allowed to", 3: "the network is unreachable",
            4: "the host is unreachable", 5: "the connection was refused", 6: "it took too long",
        ]
        guard head[1] != 0 else { return nil }
        return "it cannot reach the coordinator: \(reasons[Int(head[1])] ?? "error \(head[1])")"
    }

    static let notSocks = "what listens there is no SOCKS5 proxy"
}
