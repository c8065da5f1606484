import Engine
import Protocol

extension Rejection {
    /// The error of a worker that was rejected.
    ///
    /// - Parameters:
    ///   - endpoint: where it tried to connect
    ///   - security: its keys
    /// - Returns: what is wrong and what to do
    func error(at endpoint: Endpoint, _ security: Security) -> InputError {
        switch (self, security) {
        case (.notAllowed, .worker(let own, _)):
            InputError(
                endpoint.address,
                "the coordinator does not allow this worker's key",
                fix:
                    "Add the line \(own.publicKey) to the coordinator's list (--allow), or join again with a new "
                    + "invitation (tessera cluster invite)"
            )
        case (_, .worker):
            InputError(
                endpoint.address,
                "the process that listens there does not use the coordinator's key",
                fix: "Check the endpoint, and give the .pub file of the key that the coordinator "
                    + "has (--keys)"
            )
        case (_, .open), (_, .coordinator):
            InputError(
                endpoint.address,
                "the coordinator requires a key, or is not a Tessera coordinator",
                fix: "Check the endpoint, and give --keys and --coordinator-key"
            )
        }
    }
}
