/// Tessera's version.
package let tesseraVersion = "0.1.0"

/// Which side to update when a worker and a coordinator do not understand each other.
package enum VersionAdvice {
    /// - Parameters:
    ///   - worker: the version of the protocol that the worker speaks
    ///   - program: its version of Tessera; empty if it does not say
    ///   - coordinator: the version of the protocol that the coordinator speaks
    ///   - oldest: the oldest that it speaks as well
    ///   - own: the coordinator's version of Tessera
    /// - Returns: what differs and what to do; nil if they understand each other
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

    /// Whether a text of another machine is such advice.
    package static func isAdvice(_ text: String) -> Bool { text.contains(": \(todo)the ") }
}
