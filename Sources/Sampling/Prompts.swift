import Engine

/// What the views of a picture are conditioned on: its prompts, encoded.
package struct Prompts: Sendable {
    package let positive: Embedding
    /// Nil when guidance is at most 1: then views are evaluated once, with the prompt alone.
    package let negative: Embedding?
    /// Both, by digest.
    package let embeddings: [EmbeddingDigest: Embedding]

    package init(positive: Embedding, negative: Embedding?) {
        (self.positive, self.negative) = (positive, negative)
        embeddings = Dictionary(
            ([positive] + (negative.map { [$0] } ?? [])).map { ($0.digest, $0) }
        ) { first, _ in first }
    }

    /// The prompt alone, for views without guidance.
    package var unguided: Prompts { Prompts(positive: positive, negative: nil) }

    /// The conditioning of a view.
    ///
    /// - Parameter timeIDs: SDXL's size and crop ids, the same for both prompts
    /// - Returns: the negative prompt's, if there is one, and the prompt's
    package func conditioning(timeIDs: [Float]? = nil) -> [WorkUnit.Conditioning] {
        ((negative.map { [$0] } ?? []) + [positive]).map {
            WorkUnit.Conditioning(embedding: $0.digest, timeIDs: timeIDs)
        }
    }
}

extension WorkUnit {
    /// A view of one step.
    ///
    /// - Parameters:
    ///   - index: place in the step's list of views; only for people
    ///   - latent: `[1, height, width, channels]`, scaled for the model
    ///   - timestep: of the noise schedule
    ///   - guidance: used only with a negative prompt
    ///   - prompts: what it is conditioned on
    ///   - timeIDs: SDXL's size and crop ids; nil for models without them
    ///   - place: where it lies in the render; only for people
    /// - Returns: the unit
    package static func view(
        _ index: Int,
        _ latent: Tensor,
        timestep: Float,
        guidance: Float,
        prompts: Prompts,
        timeIDs: [Float]? = nil,
        place: String? = nil
    ) -> WorkUnit {
        let crop = timeIDs.map { ", crop \(Int($0[2])),\(Int($0[3]))" } ?? ""
        return WorkUnit(
            .predict(
                View(
                    timestep: timestep,
                    guidance: guidance,
                    conditioning: prompts.conditioning(timeIDs: timeIDs)
                )
            ),
            input: latent,
            embeddings: prompts.embeddings,
            name: "view \(index) (\(latent.shape[1])×\(latent.shape[2]) at timestep "
                + "\(timestep)\(crop))" + (place.map { ", \($0)" } ?? "")
        )
    }

    /// A latent to be decoded or a picture to be encoded: whole, or one tile as a part of the whole.
    ///
    /// - Parameters:
    ///   - index: place in the list of tiles; only for people
    ///   - half: which way
    ///   - input: a latent or a picture, with the margins of the part
    ///   - part: what is asked for of a tile; its `attention` is set here
    ///   - attention: tokens of the picture that the tile attends to
    /// - Returns: the unit
    package static func tile(
        _ index: Int,
        _ half: AutoencoderHalf = .decoder,
        _ input: Tensor,
        part: PicturePart? = nil,
        attending attention: [Embedding] = []
    ) -> WorkUnit {
        var part = part
        part?.attention = attention.map(\.digest)
        let task = (part?.norm ?? 0) > 0 ? ", statistics" : ""
        return WorkUnit(
            .autoencode(half, part),
            input: input,
            embeddings: Dictionary(attention.map { ($0.digest, $0) }) { first, _ in first },
            name: "tile \(index) (\(input.shape[1])×\(input.shape[2])\(task))"
        )
    }
}
