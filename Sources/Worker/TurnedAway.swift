import Engine
import Protocol

extension Rejection {
    /// What a worker that was turned away says.
    ///
    /// - Parameters:
    ///   - endpoint: where it called
    ///   - security: what it called with
    /// - Returns: what is wrong and what to do
    func error(at endpoint: Endpoint, _ security: Security) -> InputError {
        switch (self, security) {
        case (.notAllowed, .worker(let own, _)):
            InputError(
                endpoint.address,
                "the coordinator does not allow this worker's key",
                fix: "Add the line \(own.publicKey) to the coordinator's list (--allow)"
            )
        case (_, .worker):
            InputError(
                endpoint.address,
                "whoever listens there does not encrypt with the coordinator's key",
                fix: "Check the endpoint, and give the .pub file of the key that the coordinator "
                    + "has (--keys)"
            )
        case (_, .open), (_, .coordinator):
            InputError(
                endpoint.address,
                "the coordinator wants a key, or is none of Tessera's",
                fix: "Check the endpoint, and give --keys and --coordinator-key"
            )
        }
    }
}
