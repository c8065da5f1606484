import Glibc

/// This machine's network addresses.
enum HostAddresses {
    /// The first IPv4 address of an interface that is up and is not the loopback interface; nil if there is none.
    static func first() -> String? {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&list) == 0 else { return nil }
        defer { freeifaddrs(list) }
        var next = list
        while let entry = next?.pointee {
            next = entry.ifa_next
            let flags = Int32(bitPattern: entry.ifa_flags)
            guard let address = entry.ifa_addr, address.pointee.sa_family == sa_family_t(AF_INET),
                flags & Int32(IFF_UP) != 0, flags & Int32(IFF_LOOPBACK) == 0
            else { continue }
            var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            let size = socklen_t(MemoryLayout<sockaddr_in>.size)
            let length = socklen_t(host.count)
            if getnameinfo(address, size, &host, length, nil, 0, NI_NUMERICHOST) == 0 {
                return String(
                    decoding: host.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)),
                    as: UTF8.self
                )
            }
        }
        return nil
    }
}
