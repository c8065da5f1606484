import Coordinator
import Engine
import Foundation
import Glibc
import Logging
import Protocol
import Synchronization

/// Announces a coordinator on this network segment with `avahi-publish`, until it is stopped or this process ends,
/// however it ends.
package final class LANAnnouncement: Sendable {
    /// The default port: a service on this port is named after its host only; on another port, the name ends with the
    /// port.
    static let usualPort: UInt16 = 7551
    private let lifeline: PrivatePipe
    private let child: ChildProcess

    /// Publishes again if avahi is started later or restarted. When its standard input closes, it ends with everything
    /// that it has started.
    private static let script = """
        command -v avahi-publish > /dev/null || { echo avahi-publish is not installed; exit 1; }
        (while :; do avahi-publish "$@"; sleep 15; done) &
        cat > /dev/null
        kill 0
        """
    /// What avahi-publish prints on success.
    private static let success = "Established under name "

    /// - Parameters:
    ///   - service: the service to announce
    ///   - logger: logs whether that works, once for each reason
    /// - Throws: `InputError`, `SocketError` if the process cannot be started
    package init(_ service: LANService, logger: Logger) throws {
        let told = Mutex<Set<String>>([])
        lifeline = try PrivatePipe()
        do {
            child = try ChildProcess(
                "sh",
                ["-c", Self.script, "sh"] + service.publishArguments,
                name: "announce",
                lifeline: lifeline.reading,
                onLine: { line in
                    guard told.withLock({ $0.count < 8 && $0.insert(line).inserted }) else {
                        return
                    }
                    if line.hasPrefix(Self.success) {
                        logger.notice(
                            "announced on the network as \(line.dropFirst(Self.success.count))"
                        )
                    } else {
                        logger.warning(
                            """
                            announce: \(line.withoutFullStop). Machines that look for this coordinator on the network do \
                            not find it: install avahi-daemon and avahi-utils, and start avahi-daemon
                            """
                        )
                    }
                },
                onEnd: { _, _ in }
            )
        } catch {
            close(lifeline.reading)
            close(lifeline.writing)
            throw error
        }
    }

    /// Withdraws the announcement. Call once.
    package func stop() {
        close(lifeline.writing)
        if !child.wait(until: .now + .seconds(2)) {
            child.signal(SIGKILL)
            child.wait()
        }
        close(lifeline.reading)
    }
}

extension LaunchPlan {
    /// Announces this file's coordinator, if the file requests that and there are keys.
    ///
    /// - Parameters:
    ///   - endpoint: the endpoint that it listens on
    ///   - security: its keys
    ///   - logger: logs whether that works
    /// - Returns: nil if nothing is announced
    func publish(_ endpoint: Endpoint, _ security: Security, _ logger: Logger) -> LANAnnouncement? {
        guard file.coordinator.announce, let port = endpoint.port,
            case .coordinator(let pair, _) = security
        else { return nil }
        let host = ProcessInfo.processInfo.hostName.prefix { $0 != "." }
        let service = LANService(
            // Two clusters on one host need different names.
            name: "Tessera on \(host)" + (port == LANAnnouncement.usualPort ? "" : ":\(port)"),
            port: port,
            key: pair.publicKey.fingerprint,
            model: URL(fileURLWithPath: common.model).lastPathComponent
        )
        do {
            return try LANAnnouncement(service, logger: logger)
        } catch {
            // The render continues without it.
            logger.warning("announce: \(error)")
            return nil
        }
    }
}
