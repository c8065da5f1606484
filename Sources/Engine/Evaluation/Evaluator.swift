import Synchronization

/// Evaluates units of work with the networks of a model, for workers and for the coordinator's own units. Guidance,
/// shape checks and batching are implemented only here.
package final class Evaluator: Sendable {
    /// The model's networks; tests use a fake model here.
    package let networks: any ModelNetworks
    private let evaluated = Atomic<Int>(0)
    /// Maximum rows of a batch that fit in the device's memory, as far as is known.
    private let fitting = Atomic<Int>(.max)

    package init(_ networks: any ModelNetworks) {
        self.networks = networks
    }

    /// Number of denoiser evaluations so far, one per latent: two for a guided view.
    package var evaluations: Int { evaluated.load(ordering: .relaxed) }

    /// Maximum views that fit in the device's memory; nil until a larger batch has failed.
    package var fittingViews: Int? {
        let rows = fitting.load(ordering: .relaxed)
        return rows == .max ? nil : max(1, rows / 2)
    }

    /// Computes units. Compatible units may share a batch of the denoiser; on the processor, every result
    /// is bit-identical in any batch. Batches that do not fit in the device's memory are halved, and the
    /// size that fits is remembered.
    ///
    /// - Parameters:
    ///   - units: the units, with all embeddings that they reference
    ///   - cancellation: checked between the blocks of the networks
    /// - Returns: results in the order of the units
    /// - Throws: whatever the networks throw, and `InputError` for embeddings or predictions that do not fit
    package func evaluate(
        _ units: [WorkUnit],
        cancellation: Cancellation = Cancellation()
    ) throws -> [WorkResult] {
        var results: [WorkResult] = []
        var batch = Batch()
        func predict() throws {
            guard !batch.views.isEmpty else { return }
            results += try self.predict(batch, cancellation).map { WorkResult(tensor: $0) }
            batch = Batch()
        }
        for unit in units {
            switch unit.work {
            case .predict(let view):
                let rows = min(networks.batchRows, max(2, fitting.load(ordering: .relaxed)))
                if !batch.fits(view, unit, rows: rows) { try predict() }
                try batch.add(view, unit)
            case .autoencode(let half, let part):
                try predict()
                results.append(
                    try networks.evaluate(
                        half,
                        unit.input,
                        as: part,
                        attending: unit.embeddingDigests.map { try unit.embedding($0).context },
                        cancellation: cancellation
                    )
                )
            }
        }
        try predict()
        return results
    }

    /// The rows of one evaluation of the denoiser, and the views that they belong to.
    fileprivate struct Batch {
        var views: [WorkUnit.View] = []
        var latents: [Tensor] = []
        var embeddings: [Embedding] = []
        var timeIDs: [[Float]?] = []

        /// Whether a view can share the batch.
        func fits(_ view: WorkUnit.View, _ unit: WorkUnit, rows: Int) -> Bool {
            guard let first = views.first else { return true }
            let embedding = unit.embeddings[view.conditioning[0].embedding]
            return latents.count + view.conditioning.count <= rows
                && view.pictureChannels == first.pictureChannels
                && view.timestep == first.timestep && unit.input.shape == latents[0].shape
                && embedding?.context.shape == embeddings[0].context.shape
                && embedding?.pooled?.shape == embeddings[0].pooled?.shape
                && view.conditioning[0].timeIDs?.count == timeIDs[0]?.count
                && view.guidance == first.guidance
        }

        mutating func add(_ view: WorkUnit.View, _ unit: WorkUnit) throws(InputError) {
            views.append(view)
            for conditioning in view.conditioning {
                latents.append(
                    conditioning.omitsPicture
                        ? unit.input.clearingLastChannels(view.pictureChannels) : unit.input
                )
                embeddings.append(try unit.embedding(conditioning.embedding))
                timeIDs.append(conditioning.timeIDs)
            }
        }

        /// Throws unless the embeddings and ids of all rows have the same shapes.
        func check() throws(InputError) {
            let contexts = embeddings.map(\.context)
            let pooled = embeddings.compactMap(\.pooled)
            guard contexts.allSatisfy({ $0.shape == contexts[0].shape }),
                pooled.allSatisfy({ $0.shape == pooled[0].shape }),
                [0, contexts.count].contains(pooled.count)
            else {
                throw InputError(
                    "prompt embeddings",
                    "they are \(contexts.map(\.shape)), pooled \(pooled.map(\.shape))",
                    fix: "Make all of them with one model"
                )
            }
            let ids = timeIDs.compactMap(\.self)
            guard [0, contexts.count].contains(ids.count) else {
                throw InputError(
                    "time ids",
                    "only \(ids.count) of \(contexts.count) evaluations have them",
                    fix: "Give them to all evaluations of a view or to none"
                )
            }
        }

        /// Splits the predictions of a range of rows into one tensor per row.
        func rows(of predictions: Tensor, _ rows: Range<Int>) throws(InputError) -> [Tensor] {
            let shape = latents[0].shape
            let channels = shape[3] - views[0].pictureChannels
            guard predictions.shape == [rows.count, shape[1], shape[2], channels] else {
                throw InputError(
                    "the UNet",
                    "it makes \(predictions.shape) of \(rows.count) latents \(shape)",
                    fix: "Use a model whose predictions are shaped as its latents"
                )
            }
            return predictions.rows
        }

        /// Combines the predictions of all rows into those of the views.
        func guided(_ rows: [Tensor]) -> [Tensor] {
            var rows = rows[...]
            return views.map { view in
                defer { rows.removeFirst(view.conditioning.count) }
                return view.guided(Array(rows.prefix(view.conditioning.count)))
            }
        }
    }

    private func predict(_ batch: Batch, _ cancellation: Cancellation) throws -> [Tensor] {
        try batch.check()
        let count = batch.latents.count
        // A view with many prompts may have more rows than fit in a batch.
        let most = max(2, networks.batchRows)
        let rows = try stride(from: 0, to: count, by: most).flatMap { first in
            try predictions(of: batch, first..<min(count, first + most), cancellation)
        }
        return batch.guided(rows)
    }

    /// Prepares views for a device that computes while its thread does other work, by uploading their input.
    ///
    /// - Parameters: as in `evaluate`
    /// - Returns: nil if they are not views, do not fit in a single evaluation, or cannot be prepared; `evaluate` then
    ///   computes them or reports why not
    package func staged(_ units: [WorkUnit], cancellation: Cancellation) -> StagedViews? {
        guard networks.isAsynchronous else { return nil }
        let limit = fitting.load(ordering: .relaxed)
        let most = min(max(2, networks.batchRows), limit)
        var batch = Batch()
        for unit in units {
            guard case .predict(let view) = unit.work, batch.fits(view, unit, rows: most),
                (try? batch.add(view, unit)) != nil
            else { return nil }
        }
        guard !batch.views.isEmpty, batch.latents.count <= most, (try? batch.check()) != nil,
            let evaluation = try? evaluation(of: batch, batch.latents.indices, cancellation)
        else { return nil }
        return StagedViews(self, batch, evaluation)
    }

    /// Views that share one evaluation of the denoiser on an asynchronous device. Used by one thread.
    package final class StagedViews {
        private let evaluator: Evaluator
        private let batch: Batch
        private let evaluation: any DenoiserEvaluation

        fileprivate init(
            _ evaluator: Evaluator,
            _ batch: Batch,
            _ evaluation: any DenoiserEvaluation
        ) {
            (self.evaluator, self.batch, self.evaluation) = (evaluator, batch, evaluation)
        }

        /// Starts the evaluation without waiting for it.
        ///
        /// - Throws: `DeviceError`, `ComputationCancelled`. After a failure, `evaluate` may be called instead.
        package func start() throws {
            evaluator.evaluated.add(batch.latents.count, ordering: .relaxed)
            try noting { try evaluation.start() }
        }

        /// Waits for the evaluation.
        ///
        /// - Returns: one prediction per row, for `results(of:)`
        /// - Throws: as `start`, and `InputError` for predictions of the wrong shape
        package func finish() throws -> [Tensor] {
            try noting {
                try batch.rows(of: try evaluation.finish(), batch.latents.indices)
            }
        }

        /// Applies guidance and makes the results.
        ///
        /// - Parameter rows: the result of `finish`
        /// - Returns: results in the order of the units
        package func results(of rows: [Tensor]) -> [WorkResult] {
            batch.guided(rows).map { WorkResult(tensor: $0) }
        }

        /// Remembers the batch size for which memory was too small.
        private func noting<T>(_ body: () throws -> T) throws -> T {
            do {
                return try body()
            } catch let error as DeviceError where error.kind == .outOfMemory {
                if try !evaluator.networks.makeRoom() {
                    evaluator.restrict(to: batch.latents.count / 2)
                }
                throw error
            }
        }
    }

    private func restrict(to rows: Int) { fitting.store(max(1, rows), ordering: .relaxed) }

    /// Predictions of a range of rows, in as many batches as the device's memory requires.
    private func predictions(
        of batch: Batch,
        _ rows: Range<Int>,
        _ cancellation: Cancellation
    ) throws -> [Tensor] {
        let limit = fitting.load(ordering: .relaxed)
        guard rows.count <= limit else {
            let middle = rows.lowerBound + min(limit, (rows.count + 1) / 2)
            return try predictions(of: batch, rows.lowerBound..<middle, cancellation)
                + predictions(of: batch, middle..<rows.upperBound, cancellation)
        }
        do {
            return try evaluated(batch, rows, cancellation)
        } catch let error as DeviceError where error.kind == .outOfMemory {
            if try networks.makeRoom() { return try predictions(of: batch, rows, cancellation) }
            guard rows.count > 1 else { throw error.atView(batch.latents[0].shape) }
            restrict(to: rows.count / 2)
            return try predictions(of: batch, rows, cancellation)
        }
    }

    private func evaluated(
        _ batch: Batch,
        _ rows: Range<Int>,
        _ cancellation: Cancellation
    ) throws -> [Tensor] {
        evaluated.add(rows.count, ordering: .relaxed)
        return try batch.rows(of: try evaluation(of: batch, rows, cancellation).run(), rows)
    }

    private func evaluation(
        of batch: Batch,
        _ rows: Range<Int>,
        _ cancellation: Cancellation
    ) throws -> any DenoiserEvaluation {
        let pooled = batch.embeddings[rows].compactMap(\.pooled)
        let timeIDs = batch.timeIDs[rows].compactMap(\.self)
        return try networks.evaluation(
            of: DenoiserInput(
                latents: Tensor(joining: Array(batch.latents[rows])),
                timestep: batch.views[0].timestep,
                context: Tensor(joining: batch.embeddings[rows].map(\.context)),
                pooled: pooled.isEmpty ? nil : Tensor(joining: pooled),
                timeIDs: timeIDs.isEmpty ? nil : timeIDs,
                guidance: batch.views[0].guidance
            ),
            cancellation: cancellation
        )
    }
}

extension WorkUnit {
    fileprivate func embedding(_ digest: EmbeddingDigest) throws(InputError) -> Embedding {
        guard let embedding = embeddings[digest] else {
            throw InputError(name, "the embedding \(digest) is missing", fix: "Send it first")
        }
        return embedding
    }
}
