import Foundation

/// Waits up to half a minute for a condition.
func eventually(_ holds: () -> Bool) -> Bool {
    let deadline = ContinuousClock.now + .seconds(30)
    while !holds() {
        guard ContinuousClock.now < deadline else { return false }
        usleep(20_000)
    }
    return true
}

/// A loopback port on which no process is listening.
func freePort() throws -> UInt16 {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let status = withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
            bind(descriptor, generic, size) == 0 ? getsockname(descriptor, generic, &size) : -1
        }
    }
    guard status == 0 else { throw POSIXError(.EADDRINUSE) }
    return UInt16(bigEndian: address.sin_port)
}
