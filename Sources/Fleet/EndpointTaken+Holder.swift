import Coordinator
import Engine
import Protocol

extension EndpointTaken {
    /// Whether a render or another command of Tessera listens there, which ends by itself.
    package var isWorthWaitingFor: Bool {
        guard let note = EndpointUser.find(endpoint)?.note else { return false }
        return note.isService != true && note.isRelay != true
    }

    /// Who listens there, in words; nil if nobody does any more, or it cannot be known.
    package var holder: String? { EndpointUser.find(endpoint)?.description }

    /// The error of a command that needs the endpoint now; `waits` is the flag that waits for it, if there is one.
    package func error(waits: String?) -> any Error {
        guard let user = EndpointUser.find(endpoint) else { return inputError }
        guard let note = user.note else {
            return InputError(
                endpoint.address,
                "\(user.description) listens there",
                fix: "Choose another endpoint, or end that process"
            )
        }
        if note.isService == true {
            return ClusterUnavailable(
                "\(endpoint): \(user.description) uses it. Give the picture to that service (tessera submit), or use "
                    + "another endpoint"
            )
        }
        if note.isRelay == true {
            return ClusterUnavailable(
                "\(endpoint): \(user.description) uses it. Use another endpoint"
            )
        }
        return ClusterUnavailable(
            "\(endpoint): \(user.description) uses it. "
                + (waits.map { "Wait for it with \($0), or use" } ?? "Wait for it, or use")
                + " another endpoint"
        )
    }
}
