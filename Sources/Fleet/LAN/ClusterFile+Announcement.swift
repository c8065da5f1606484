import Engine
import Protocol

extension ClusterFile {
    /// Checks that other machines can reach what is announced, and can distinguish it from other announcements.
    static func checkAnnouncement(
        _ found: Coordinator,
        _ fields: FieldReader
    ) throws(InputError) {
        guard found.announce else { return }
        let host = found.endpoint.flatMap { HostPort($0.dropFirst("tcp://".count)) }
        guard found.endpoint?.hasPrefix("tcp://") == true, host?.isLoopback != true,
            host?.port != 0
        else {
            throw fields.fault(
                "announce",
                nil,
                "machines of the network can only find an endpoint that they can reach",
                fix: "Write endpoint: tcp://ADDRESS:7551 with this machine's address"
            )
        }
        guard !found.insecure else {
            throw fields.fault(
                "announce",
                nil,
                "without keys nobody could tell this coordinator from another",
                fix: "Remove insecure: true"
            )
        }
    }
}
