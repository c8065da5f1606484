import Engine
import Logging
import Protocol

/// A source of chunks: the coordinator or a neighbour.
package final class ChunkSource {
    /// Name to show to people.
    let name: String
    let isNeighbour: Bool
    let connection: FetchConnection
    /// Not to be asked before this time, because it is still preparing.
    fileprivate var pausedUntil: ContinuousClock.Instant?

    package init(_ name: String, isNeighbour: Bool, _ connection: FetchConnection) {
        (self.name, self.isNeighbour, self.connection) = (name, isNeighbour, connection)
    }
}

/// The sources of one model's chunks: neighbours first, and the coordinator if no neighbour is usable.
package final class ChunkSources {
    private var neighbours: [ChunkSource]
    private let coordinator: ChunkSource
    private let logger: Logger
    private var isSilent = false

    /// How long a source that is preparing is left alone, and how many chunks to get from the coordinator before
    /// neighbours are tried again.
    private static let pause: Duration = .seconds(2)
    private static let turn = 32

    package init(coordinator: ChunkSource, neighbours: [ChunkSource], _ logger: Logger) {
        (self.coordinator, self.neighbours, self.logger) = (coordinator, neighbours, logger)
    }

    /// - Parameters:
    ///   - coordinator: the connection to the coordinator
    ///   - places: neighbours that the coordinator named
    ///   - security: this worker's keys
    ///   - logger: logs which neighbours are dropped
    /// - Throws: `SocketError`
    convenience init(
        coordinator: FetchConnection,
        _ places: [Neighbour],
        _ security: Security,
        _ logger: Logger
    ) throws {
        self.init(
            coordinator: ChunkSource("the coordinator", isNeighbour: false, coordinator),
            neighbours: try Self.neighbours(places, security),
            logger
        )
    }

    /// Only addresses on this machine's own networks are contacted, whatever the coordinator says.
    private static func neighbours(
        _ places: [Neighbour],
        _ security: Security
    ) throws -> [ChunkSource] {
        guard case .worker(let own, _) = security, !places.isEmpty else { return [] }
        let networks = LANAddress.own
        return try places.filter { place in networks.contains { $0.reaches(place.address) } }
            .map { place in
                let address = "\(place.address.host):\(place.port)"
                let connection = try FetchConnection(
                    try Endpoint("tcp://\(address)", reach: .network),
                    .worker(own, coordinator: place.key)
                )
                return ChunkSource("the neighbour at \(address)", isNeighbour: true, connection)
            }
    }

    /// The source to ask now, and the chunk after which to choose again; nil means after the last chunk.
    func next(after present: Int) -> (source: ChunkSource, end: Int?) {
        let now = ContinuousClock.now
        if let ready = neighbours.first(where: { $0.pausedUntil.map { $0 <= now } ?? true }) {
            return (ready, nil)
        }
        return (coordinator, neighbours.isEmpty ? nil : present + Self.turn)
    }

    /// Leaves a source alone for a while because it is preparing.
    func pause(_ source: ChunkSource) { source.pausedUntil = .now + Self.pause }

    /// Logs, once, that the coordinator does not answer.
    func noteSilence() {
        guard !isSilent else { return }
        isSilent = true
        logger.warning("the coordinator is not sending the model; retrying")
    }

    /// Notes that the coordinator has sent something.
    func noteAnswer() {
        guard isSilent else { return }
        isSilent = false
        logger.notice("the coordinator answers: fetching the rest of the model")
    }

    /// Drops a neighbour that is of no use: it is not asked again.
    func leave(_ source: ChunkSource, because reason: String) {
        neighbours.removeAll { $0 === source }
        logger.warning(
            "\(source.name) \(reason): it is left out, and nothing wrong is kept"
        )
    }
}
