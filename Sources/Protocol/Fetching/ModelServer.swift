import Engine
import Foundation
import Synchronization

/// Sends the files of one model to workers that lack them, a chunk at a time, on a separate thread. Only what the
/// model's catalogue lists can be requested, by digest.
package final class ModelServer: Sendable {
    /// A pending request.
    private struct Request: Sendable {
        let peer: [UInt8]
        let key: PublicKey
        let digest: ModelCatalogue.Digest
        let chunk: Int
    }

    /// A chunk that was read, or the reason why it was not, and its recipient.
    package struct Served: Sendable {
        package let peer: [UInt8]
        package let key: PublicKey
        package let answer: ChunkAnswer
        /// Bytes of the whole model, and bytes that a machine which fetches its files in order has once this chunk has
        /// arrived.
        package let total: Int
        package let reach: Int
    }

    /// Maximum rate while a render runs, in bytes per second, so that the render's own messages are not delayed.
    package static let busyRate = 32.0 * 1_048_576
    /// Maximum number of pending requests; further ones are dropped, and the worker repeats them.
    private static let maxWaiting = 1024

    /// State shared between the threads.
    private final class State: Sendable {
        /// Number of pending requests.
        let waiting = Atomic<Int>(0)
        /// Whether a render is running.
        let isBusy = Atomic<Bool>(false)
        /// Whether the digests have been computed.
        let isReady = Atomic<Bool>(false)
        let cancellation = Cancellation()
    }

    /// A task for the thread.
    private enum Order: Sendable {
        case prepare
        case answer(Request)
        case stop
    }

    private let queue = BlockingQueue<Order>()
    private let state = State()
    private let thread: NamedThread

    /// - Parameters:
    ///   - digest: digest of the model
    ///   - open: opens the model
    ///   - post: called on the server's thread with each answer
    package init(
        digest: String,
        open: @escaping @Sendable () throws(InputError) -> Model,
        post: @escaping @Sendable (Served) -> Void
    ) {
        thread = NamedThread("modelServer") { [queue, state] in
            var shelf: Result<ModelShelf, InputError>?
            while !state.cancellation.isCancelled {
                let order = queue.take()
                guard !state.cancellation.isCancelled else { return }
                let known = shelf ?? ModelShelf.open(digest, open, state.cancellation)
                shelf = known
                state.isReady.store(true, ordering: .releasing)
                guard case .answer(let request) = order else { continue }
                state.waiting.subtract(1, ordering: .relaxed)
                let answer = Self.answer(request, known, digest)
                let shelf = try? known.get()
                let served = Served(
                    peer: request.peer,
                    key: request.key,
                    answer: answer,
                    total: shelf?.size ?? 0,
                    reach: shelf?.reach(request.digest, request.chunk) ?? 0
                )
                post(served)
                guard state.isBusy.load(ordering: .relaxed), case .bytes(let bytes) = answer.content
                else {
                    continue
                }
                Thread.sleep(forTimeInterval: Double(bytes.count) / Self.busyRate)
            }
        }
    }

    private static func answer(
        _ request: Request,
        _ shelf: Result<ModelShelf, InputError>,
        _ model: String
    ) -> ChunkAnswer {
        let content: ChunkAnswer.Content
        do {
            content = .bytes(
                try shelf.get().content(request.digest, request.chunk, model: model)
            )
        } catch {
            content = .refused("\(error)")
        }
        return ChunkAnswer(request.digest, request.chunk, content)
    }

    /// Requests chunks; they are posted later.
    ///
    /// - Returns: how many chunks will be posted; the others are dropped
    @discardableResult
    package func ask(_ request: ChunkRequest, for peer: [UInt8], _ key: PublicKey) -> Int {
        for (place, chunk) in request.chunks.enumerated() {
            guard state.waiting.load(ordering: .relaxed) < Self.maxWaiting else { return place }
            state.waiting.add(1, ordering: .relaxed)
            queue.put(
                .answer(Request(peer: peer, key: key, digest: request.digest, chunk: chunk))
            )
        }
        return request.chunks.count
    }

    /// Tells the server whether a render is running, which must not be slowed down.
    package func note(isBusy busy: Bool) { state.isBusy.store(busy, ordering: .relaxed) }

    /// Whether the model's digests have been computed, which takes as long as reading the whole model.
    package var isReady: Bool { state.isReady.load(ordering: .acquiring) }

    /// Starts to compute the digests.
    package func prepare() { if !isReady { queue.put(.prepare) } }

    package func stop() {
        state.cancellation.cancel()
        queue.put(.stop)
        thread.join()
    }
}

/// The files of one model, by digest.
struct ModelShelf: Sendable {
    private let catalogue: [UInt8]
    /// Total size of the files, in bytes.
    let size: Int
    /// `start` is the total size of the files before it, in bytes.
    private let places: [ModelCatalogue.Digest: (path: String, size: Int, start: Int)]

    /// Opens the model that workers must have, and computes the digests of its chunks, for which it reads the whole
    /// model.
    static func open(
        _ digest: String,
        _ model: () throws(InputError) -> Model,
        _ cancellation: Cancellation
    ) -> Result<ModelShelf, InputError> {
        do throws(InputError) {
            return .success(try ModelShelf(digest, model(), cancellation))
        } catch {
            return .failure(error)
        }
    }

    private init(
        _ digest: String,
        _ model: Model,
        _ cancellation: Cancellation
    ) throws(InputError) {
        guard try model.digest() == digest else {
            throw InputError(
                model.path,
                "its files have changed since they were loaded",
                fix: "Start it again"
            )
        }
        let content = try ModelContent(of: model)
        var files: [ModelCatalogue.File] = []
        var places: [ModelCatalogue.Digest: (path: String, size: Int, start: Int)] = [:]
        var size = 0
        for file in content.files {
            let read = try Self.read(file, cancellation)
            files.append(read)
            places[read.digest] = (file.path, read.size, size)
            size += read.size
        }
        (self.places, self.size) = (places, size)
        catalogue = ModelCatalogue(files: files, parts: content.parts).bytes
    }

    /// Reads a file and computes its digests.
    private static func read(
        _ file: ModelContent.File,
        _ cancellation: Cancellation
    ) throws(InputError) -> ModelCatalogue.File {
        let (descriptor, size) = try InputFile.open(file.path)
        defer { close(descriptor) }
        let whole = FileHash()
        var chunks: [ModelCatalogue.Digest] = []
        for chunk in 0..<ModelCatalogue.chunkCount(Int(size)) {
            guard !cancellation.isCancelled else {
                throw InputError(file.path, "the sender ended", fix: "Ask again")
            }
            let bytes = try chunkBytes(descriptor, chunk, Int(size), file.path)
            bytes.withUnsafeBytes { bytes in
                whole.add(bytes: bytes)
                chunks.append(ModelCatalogue.Digest(of: bytes))
            }
        }
        guard let digest = ModelCatalogue.Digest(bytes: whole.digest()) else {
            preconditionFailure("a digest has 32 bytes")
        }
        return ModelCatalogue.File(name: file.name, digest: digest, size: Int(size), chunks: chunks)
    }

    private static func chunkBytes(
        _ descriptor: Int32,
        _ chunk: Int,
        _ size: Int,
        _ path: String
    ) throws(InputError) -> [UInt8] {
        let start = chunk * ModelCatalogue.chunkBytes
        let count = min(ModelCatalogue.chunkBytes, size - start)
        var bytes = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            let place = off_t(start + done)
            let read = bytes.withUnsafeMutableBytes { buffer in
                pread(descriptor, buffer.baseAddress?.advanced(by: done), count - done, place)
            }
            if read < 0, errno == EINTR { continue }
            guard read > 0 else {
                throw InputError(path, "it cannot be read to its end", fix: "Check the disk")
            }
            done += read
        }
        return bytes
    }

    private struct Unlisted: Error, CustomStringConvertible {
        var description: String { "it is not a part of the model" }
    }

    /// Bytes of the model up to the end of a chunk of one of its files; 0 for an unknown file.
    func reach(_ digest: ModelCatalogue.Digest, _ chunk: Int) -> Int {
        guard let file = places[digest] else { return 0 }
        let chunks = ModelCatalogue.chunkCount(file.size)
        return file.start + min(file.size, (min(chunk, chunks) + 1) * ModelCatalogue.chunkBytes)
    }

    /// Reads a chunk of a file; or, given the digest of the model, its catalogue.
    ///
    /// - Throws: an error that says why it cannot be sent
    func content(
        _ digest: ModelCatalogue.Digest,
        _ chunk: Int,
        model: String
    ) throws -> [UInt8] {
        if digest.description == model, chunk == 0 { return catalogue }
        guard let (path, size, _) = places[digest], chunk < ModelCatalogue.chunkCount(size) else {
            throw Unlisted()
        }
        let (descriptor, _) = try InputFile.open(path)
        defer { close(descriptor) }
        return try Self.chunkBytes(descriptor, chunk, size, path)
    }
}
