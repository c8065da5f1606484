import Engine

/// Why a service did not fulfil a request.
package enum ServiceClientError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Nothing responds at the address.
    case unreachable(String, reason: String)
    /// The service responded with an error, in its own words.
    case refused(status: Int, message: String)
    /// Something responds that is not Tessera.
    case foreign(String)

    /// Whether the same request may succeed later.
    package var isTemporary: Bool {
        switch self {
        case .unreachable: true
        case .refused(let status, _): [429, 502, 503, 504].contains(status)
        case .foreign: false
        }
    }

    package var description: String {
        switch self {
        case .unreachable(let place, let reason):
            "\(place): no service answers (\(reason)). Start tessera serve there, or check --server"
        case .refused(let status, let message):
            "the service refused: \(oneLine(message, limit: 1000))"
                + (status == 401 ? ". Give --token, or set TESSERA_TOKEN" : "")
        case .foreign(let place):
            "\(place): what answers is not tessera serve. Check --server"
        }
    }

    /// Parses an error response.
    package init(status: Int, body: [UInt8], from address: ServiceAddress) {
        let json = try? JSON(body, place: "the answer")
        if let message = json?.object?["error"]?.object?["message"]?.string {
            self = .refused(status: status, message: message)
        } else if status >= 500 || [401, 403].contains(status) {
            // A proxy's own error has another format, or no body.
            self = .refused(status: status, message: "it answered with status \(status)")
        } else {
            self = .foreign("\(address)")
        }
    }
}
