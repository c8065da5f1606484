import Coordinator
import Engine
import Protocol

extension EndpointTaken {
    /// Whether the holder is a render or another Tessera command, which will end by itself.
    package var isWorthWaitingFor: Bool {
        guard let note = EndpointUser.find(endpoint)?.note else { return false }
        return note.isService != true && note.isRelay != true
    }

    /// Who is listening there, as text; nil if nobody is any longer, or it cannot be determined.
    package var holder: String? { EndpointUser.find(endpoint)?.description }

    /// The error for a command that needs the endpoint now; `waits` is the flag that waits for it, if there is one.
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
