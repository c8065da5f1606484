import Logging
import Protocol

/// Logs the progress of fetching a model, every ten percent, and where it comes from.
package struct FetchProgress {
    private let total: Int
    private let logger: Logger
    private var done = 0
    private var told = 0
    private var source = ""
    /// Bytes received from neighbours.
    private(set) var fromNeighbours = 0

    package init(total: Int, _ logger: Logger) {
        (self.total, self.logger) = (max(1, total), logger)
    }

    /// Adds chunks that were already present.
    mutating func add(_ chunks: Int, of file: ModelCatalogue.File) {
        add(min(file.size, chunks * ModelCatalogue.chunkBytes))
    }

    /// Adds bytes that have arrived.
    mutating func add(_ bytes: Int, from source: ChunkSource) {
        if source.name != self.source {
            if source.isNeighbour { logger.notice("fetching the model from \(source.name)") }
            self.source = source.name
        }
        if source.isNeighbour { fromNeighbours += bytes }
        add(bytes)
    }

    private mutating func add(_ bytes: Int) {
        done += bytes
        let share = done * 10 / total
        guard share > told else { return }
        told = share
        logger.notice("model: \(share * 10) % of \(ModelCache.text(total))")
    }
}
