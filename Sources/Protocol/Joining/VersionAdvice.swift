/// Tessera's version.
package let tesseraVersion = "0.1.0"

/// Says which side to update if the versions of a worker and a coordinator are incompatible.
package enum VersionAdvice {
    /// - Parameters:
    ///   - worker: the worker's protocol version
    ///   - program: the worker's version of Tessera; empty if unknown
    ///   - coordinator: the coordinator's protocol version
    ///   - oldest: the oldest protocol version that the coordinator also supports
    ///   - own: the coordinator's version of Tessera
    /// - Returns: what differs and what to do; nil if they are compatible
    package static func advice(
        worker: UInt32,
        program: String,
        coordinator: UInt32 = protocolVersion,
        oldest: UInt32 = oldestProtocolVersion,
        own: String = tesseraVersion
    ) -> String? {
        guard !(oldest...coordinator).contains(worker) else { return nil }
        func named(_ program: String, _ version: UInt32) -> String {
            let tessera = program.isEmpty ? "" : "Tessera \(program), "
            return "\(tessera)version \(version) of the protocol"
        }
        let older = worker < coordinator ? "the worker" : "the coordinator"
        return
            "the worker has \(named(program, worker)), the coordinator \(named(own, coordinator)): "
            + "\(todo)\(older)'s machine"
    }

    private static let todo = "update Tessera on "

    /// Whether a text from another machine is such advice.
    package static func isAdvice(_ text: String) -> Bool { text.contains(": \(todo)the ") }
}
