/// The denoising network of a model, ready to use.
package final class UNet {
    /// The shape of the network.
    package let config: UNetConfig
    let backend: any Backend
    let network: UNetNetwork
    private var contexts = PromptContexts()
    /// Number of operations that have failed on the device so far.
    private(set) var errors = 0
    /// Where the weights came from.
    package let origin: WeightCache.Origin

    /// Reads the configuration and the weights, or maps the weights from `cache`; `wrapping` may wrap the
    /// backend, for example to measure it.
    ///
    /// Throws `InputError` for a missing or unusable file.
    package init(
        model: Model,
        options: EngineOptions,
        cache: WeightCache? = .standard,
        wrapping: (any Backend) -> any Backend = { $0 }
    ) throws {
        let config = try model.unetConfig()
        let prepared = try model.prepare(
            .unet,
            options: options,
            cache: cache,
            wrapping: wrapping
        ) { try UNetNetwork($0, config: config) }
        self.config = config
        (network, backend, origin) = (prepared.network, prepared.backend, prepared.origin)
    }

    /// Predicts for a batch of latents at one timestep; every row is bit-identical in any batch.
    ///
    /// - Parameters:
    ///   - latents: `[n, height, width, inChannels]`, of any height and width, scaled for the model
    ///   - timestep: a timestep of the training schedule
    ///   - context: `[n, tokens, crossAttentionDim]`
    ///   - pooled: `[n, pooledWidth]`, if the configuration needs it
    ///   - timeIDs: n × 6 sizes in pixels (n × 5 for a refiner), if the configuration needs them
    ///   - guidance: the guidance scale, used only by guidance-distilled models
    ///   - cancellation: checked between the network's blocks
    /// - Returns: `[n, height, width, outChannels]`: noise or velocity, depending on how the model was trained
    /// - Throws: `InputError` naming the argument whose shape does not fit the model,
    ///   `ComputationCancelled`
    package func predict(
        _ latents: Tensor,
        timestep: Float,
        context: Tensor,
        pooled: Tensor?,
        timeIDs: [[Float]]?,
        guidance: Float = 1,
        cancellation: Cancellation = Cancellation()
    ) throws -> Tensor {
        let input = DenoiserInput(
            latents: latents,
            timestep: timestep,
            context: context,
            pooled: pooled,
            timeIDs: timeIDs,
            guidance: guidance
        )
        return try evaluation(of: input, cancellation: cancellation).run()
    }

    /// Prepares the same prediction as an evaluation in steps.
    ///
    /// - Throws: `InputError` naming the argument whose shape does not fit the model, `DeviceError` if
    ///   the input could not be uploaded
    package func evaluation(
        of input: DenoiserInput,
        cancellation: Cancellation
    ) throws -> any DenoiserEvaluation {
        let (latents, context) = (input.latents, input.context)
        let n = latents.shape.first ?? 0
        guard latents.shape.count == 4, n > 0, latents.shape[1] > 0, latents.shape[2] > 0,
            latents.shape[3] == config.inChannels
        else { throw misfit("latents", latents.shape, "[n, height, width, \(config.inChannels)]") }
        guard context.shape.count == 3, context.shape[0] == n, context.shape[1] > 0,
            context.shape[2] == config.crossAttentionDim
        else {
            throw misfit(
                "prompt embedding",
                context.shape,
                "[\(n), tokens, \(config.crossAttentionDim)]"
            )
        }
        let checked = CheckedInput(
            latents: latents,
            timestep: input.timestep,
            context: context,
            added: try addedCondition(n, pooled: input.pooled, timeIDs: input.timeIDs),
            guidance: config.guidanceWidth.map {
                config.guidanceEmbedding(
                    of: Array(repeating: input.guidance, count: n),
                    width: $0
                )
            }
        )
        return try UNetEvaluation(self, checked, cancellation)
    }

    /// The prompt on the backend; reused if an earlier evaluation had the same one.
    func context(of input: CheckedInput) -> PromptContext {
        contexts.context(input.context, backend: backend)
    }

    /// Runs operations. If one fails on the device, drops the cached prompts, because their keys and
    /// values may not have been computed.
    func noting<T>(_ body: () throws -> T) throws -> T {
        do {
            return try body()
        } catch let error as DeviceError {
            contexts = PromptContexts()
            errors += 1
            throw error
        }
    }

    /// The pooled prompt and the sinusoids of the sizes, concatenated.
    private func addedCondition(
        _ n: Int,
        pooled: Tensor?,
        timeIDs: [[Float]]?
    ) throws -> Tensor? {
        guard let textTime = config.textTime else { return nil }
        let sizes = textTime.sizes
        guard let pooled, pooled.shape == [n, textTime.pooledWidth] else {
            throw misfit("pooled prompt", pooled?.shape ?? [], "[\(n), \(textTime.pooledWidth)]")
        }
        guard let timeIDs, timeIDs.count == n, timeIDs.allSatisfy({ $0.count == sizes }) else {
            throw misfit("time ids", timeIDs.map { [$0.count] } ?? [], "[\(n), \(sizes)]")
        }
        let sinusoids = config.sinusoids(of: Array(timeIDs.joined()), width: textTime.sizeWidth)
        let (left, right) = (textTime.pooledWidth, sizes * textTime.sizeWidth)
        return Tensor(shape: [n, left + right]) { out in
            pooled.withFloats { pooled in
                sinusoids.withFloats { sinusoids in
                    for row in 0..<n {
                        let at = row * (left + right)
                        for i in 0..<left { out[at + i] = pooled[row * left + i] }
                        for i in 0..<right { out[at + left + i] = sinusoids[row * right + i] }
                    }
                }
            }
        }
    }

    private func misfit(_ what: String, _ found: [Int], _ wanted: String) -> InputError {
        InputError(
            what,
            "has the shape \(found), the UNet needs \(wanted)",
            fix: "Use inputs that were made for this model"
        )
    }
}
