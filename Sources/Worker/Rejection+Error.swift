import Engine
import Protocol

extension Rejection {
    /// The error to report when a worker is rejected.
    ///
    /// - Parameter options: the worker's options
    /// - Returns: what is wrong and how to fix it
    func error(of options: WorkerProcess.Options) -> InputError {
        let endpoint = options.endpoint
        return switch (self, options.security) {
        case (.notAllowed, .worker) where options.isInvited:
            InputError(
                endpoint.address,
                "this machine was removed from the cluster: the coordinator does not allow its key any more",
                fix:
                    "Stop this worker, or join again with a new invitation (tessera cluster invite)"
            )
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
                "the process that listens there does not use the coordinator's key, or is stopped",
                fix:
                    "Check the endpoint and that process, and give the .pub file of the key that the "
                    + "coordinator has (--keys)"
            )
        case (_, .open), (_, .coordinator):
            InputError(
                endpoint.address,
                "the coordinator requires a key, or is not a Tessera coordinator",
                fix:
                    "Check the endpoint, and give --keys and --coordinator-key. If tessera cluster up started this worker before the first "
                    + "invitation was made, run tessera cluster down and tessera cluster up"
            )
        }
    }
}
