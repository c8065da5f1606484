import Engine
import Protocol

extension ClusterFile {
    /// Rejects sharing of the model without keys, which tell who may have it, or on a port that is in use.
    ///
    /// - Parameters:
    ///   - host: the host that shares its model
    ///   - written: the fields of the host
    /// - Throws: `InputError` with the line of the `share` field
    func checkSharing(_ host: Host, _ written: FieldReader) throws(InputError) {
        guard let port = host.share else { return }
        var fields = written
        let node = fields.take("share")
        // If the file names no keys, they are generated for workers of this machine.
        let isMade =
            host.isThisOne && coordinator.keys == nil && !coordinator.insecure
            && coordinator.endpoint?.hasPrefix("tcp://") == true
        guard host.keys != nil || isMade else {
            throw fields.fault(
                "share",
                node,
                "\(host.name): without keys nobody could tell who may have the model",
                fix:
                    "Name keys and allow under coordinator, and keys and coordinator-key of this host"
            )
        }
        let own = coordinator.endpoint.flatMap { HostPort($0.dropFirst("tcp://".count))?.port }
        let taken = hosts.first { $0.isThisOne && $0.share == port }?.name
        if host.isThisOne, port != 0, own == port || taken != nil {
            throw fields.fault(
                "share",
                node,
                "\(host.name): \(own == port ? "the coordinator" : taken ?? "") uses this port",
                fix: "Choose another port, or 0 to let the system choose one"
            )
        }
    }

    /// Whether machines that are not in the file may connect to workers or look for the coordinator; this requires
    /// keys.
    var needsKeys: Bool { coordinator.announce || hosts.contains { $0.share != nil } }
}
