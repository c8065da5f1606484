import Engine
import Protocol

/// The networks that a worker computes with.
package protocol ModelHost: AnyObject, Sendable {
    /// What it loaded.
    var identity: ModelIdentity { get }
    /// Names of the numerical backend and of the precision, as on the command line.
    var backend: String { get }
    var precision: String { get }
    /// Threads that compute one unit.
    var threads: Int { get }

    /// Evaluates the UNet.
    ///
    /// - Parameters:
    ///   - latents: `[n, height, width, channels]`
    ///   - timestep: of the noise schedule
    ///   - context: `[n, tokens, width]`
    ///   - pooled: `[n, width]`, for models that want it
    ///   - timeIDs: n times six, for models that want them
    ///   - cancellation: heeded within the evaluation where that is cheap
    /// - Returns: predictions, shaped as `latents`
    /// - Throws: `InputError` when the inputs do not fit the model, `ComputationCancelled`
    func predict(
        _ latents: Tensor,
        timestep: Float,
        context: Tensor,
        pooled: Tensor?,
        timeIDs: [[Float]]?,
        cancellation: Cancellation
    ) throws -> Tensor

    /// Decodes a latent or encodes a picture; loads that half of the VAE when it is first asked for.
    ///
    /// - Parameters:
    ///   - half: which way
    ///   - input: `[1, height, width, channels]`, a latent, or `[1, height · factor, width · factor, 3]`,
    ///     a picture; of a part with its margins
    ///   - part: what is asked for of a tile; nil for what is whole
    ///   - keys: `[1, tokens, width]` each, tokens of the picture
    ///   - cancellation: as in `predict`
    /// - Returns: the picture, about −1…1, the latent as samplers take it, or what the part asks for
    /// - Throws: `InputError` when the weights cannot be read or the input does not fit them,
    ///   `ComputationCancelled`
    func evaluate(
        _ half: AutoencoderHalf,
        _ input: Tensor,
        as part: PicturePart?,
        keys: [Tensor],
        cancellation: Cancellation
    ) throws -> PartResult
}

/// A unit with all that its computation needs.
package struct Assignment: Sendable {
    package let task: CoordinatorMessage.Task
    /// Nil for tiles.
    package let prompts: Prompts?
    /// Tokens of the picture, `[1, tokens, width]` each; for tiles.
    package let keys: [Tensor]

    /// The embeddings of a view's job.
    package struct Prompts: Sendable {
        package let positive: PromptTensors
        package let negative: PromptTensors?

        package init(positive: PromptTensors, negative: PromptTensors?) {
            self.positive = positive
            self.negative = negative
        }
    }

    package init(task: CoordinatorMessage.Task, prompts: Prompts?, keys: [Tensor] = []) {
        self.task = task
        self.prompts = prompts
        self.keys = keys
    }
}

/// Computes units, one at a time.
package struct UnitRunner {
    private let host: any ModelHost

    package init(host: any ModelHost) {
        self.host = host
    }

    /// Computes a unit.
    ///
    /// - Returns: the guided prediction, one branch of it, the picture or latent, or what a part asks for
    /// - Throws: what the host throws, and `InputError` for prompts that do not fit each other
    package func run(
        _ assignment: Assignment,
        cancellation: Cancellation = Cancellation()
    ) throws -> PartResult {
        let task = assignment.task
        switch (task.work, assignment.prompts) {
        case (.autoencode(let half, let part), _):
            return try host.evaluate(
                half,
                task.input,
                as: part?.part,
                keys: assignment.keys,
                cancellation: cancellation
            )
        case (.predict(let view), let prompts?):
            return PartResult(tensor: try predict(task.input, view, prompts, cancellation))
        case (.predict, nil):
            preconditionFailure("a view without prompts")
        }
    }

    /// uncond + guidance · (text − uncond) from one batch of two, or one branch alone.
    private func predict(
        _ latent: Tensor,
        _ view: CoordinatorMessage.View,
        _ prompts: Assignment.Prompts,
        _ cancellation: Cancellation
    ) throws -> Tensor {
        let chosen =
            switch (view.branch, prompts.negative) {
            case (.text, _), (_, nil): [prompts.positive]
            case (.negative, let negative?): [negative]
            case (.both, let negative?): [negative, prompts.positive]
            }
        let branches = try Guidance.branches(
            of: latent,
            contexts: chosen.map(\.context),
            pooled: chosen.compactMap(\.pooled)
        ) { latents, context, pooled in
            try host.predict(
                latents,
                timestep: view.timestep,
                context: context,
                pooled: pooled,
                timeIDs: view.timeIDs.map { Array(repeating: $0, count: latents.shape[0]) },
                cancellation: cancellation
            )
        }
        return branches.count == 1
            ? branches[0]
            : Guidance.combine(negative: branches[0], text: branches[1], by: view.guidance)
    }
}
