import Engine
import Protocol
import Synchronization

/// The UNet with which the coordinator renders phase 1 itself. The bits are those of a cluster whose
/// workers compute alike: an evaluation does not depend on the batch it is in.
package final class GlobalPassUNet: Sendable {
    private let model: Model
    private let options: EngineOptions
    private let job: JobDescription
    private let unet = Mutex<UNet?>(nil)
    private let cancellation = Cancellation()
    private let evaluated = Atomic<Int>(0)

    /// Loads nothing before it is needed.
    package init(model: Model, options: EngineOptions, job: JobDescription) {
        self.model = model
        self.options = options
        self.job = job
    }

    /// Predicts the noise of a view.
    ///
    /// - Returns: `[1, height, width, channels]`, guided
    /// - Throws: `InputError` for unusable files, `RenderCancelled`, and `UnitFailed` for a
    ///   prediction that is no number
    package func predict(_ view: ViewRequest) throws -> Tensor {
        let prompts = (job.negative.map { [$0] } ?? []) + [job.positive]
        let rows = try Guidance.branches(
            of: job.wire.carried(view.latent),
            contexts: prompts.map(\.context),
            pooled: prompts.compactMap(\.pooled)
        ) { latents, context, pooled in
            try evaluate(latents, view, context: context, pooled: pooled)
        }.map { job.wire.carried($0) }
        let result =
            rows.count == 1
            ? rows[0] : Guidance.combine(negative: rows[0], text: rows[1], by: view.guidance)
        guard result.isFinite else {
            throw UnitFailed(
                unit: view.place ?? "the global pass",
                reasons: ["the coordinator's answer holds NaN or infinity"]
            )
        }
        return result
    }

    /// UNet evaluations of one picture each that it has made.
    package var evaluations: Int { evaluated.load(ordering: .relaxed) }

    /// Gives the memory back.
    package func unload() { unet.withLock { $0 = nil } }

    /// Ends an evaluation that runs, and every later one; from any thread.
    package func cancel() { cancellation.cancel() }

    private func evaluate(
        _ latents: Tensor,
        _ view: ViewRequest,
        context: Tensor,
        pooled: Tensor?
    ) throws -> Tensor {
        do {
            return try unet.withLock { unet in
                try cancellation.check()
                let loaded = try unet ?? UNet(model: model, options: options)
                unet = loaded
                evaluated.add(latents.shape[0], ordering: .relaxed)
                return try loaded.predict(
                    latents,
                    timestep: view.timestep,
                    context: context,
                    pooled: pooled,
                    timeIDs: view.timeIDs.map { Array(repeating: $0, count: latents.shape[0]) },
                    cancellation: cancellation
                )
            }
        } catch is ComputationCancelled {
            throw RenderCancelled()
        }
    }
}
