import Engine

// The cost of a unit, in latent pixels that are evaluated from start to end.

extension WorkUnit {
    /// Cost for a worker that keeps the unit's tile, if it has one. The pixels of a guided view count once, those of
    /// one of its halves count half.
    func cost(_ model: ModelGeometry) -> Double {
        switch work {
        case .predict(let view): return area * Double(view.conditioning.count) / 2
        case .autoencode(let half, nil): return pixels(half, model)
        case .autoencode(let half, let part?):
            let (network, norm) = (model.network(half), part.lastNorm(of: model.network(half)))
            let before = network.shareOfWork(before: norm - 1)
            // The attention comes right after its norm.
            let attends = norm - 1 == network.attention
            let share =
                network.shareOfWork(before: norm) - before
                + (attends ? network.shareOfAttention(to: attentionTokens) : 0)
            return pixels(half, model) * share
        }
    }

    /// Cost for any other worker, which has to start over.
    func costElsewhere(_ model: ModelGeometry) -> Double {
        guard case .autoencode(let half, let part?) = work else { return cost(model) }
        let network = model.network(half)
        let share =
            network.shareOfWork(before: part.lastNorm(of: network))
            + network.shareOfAttention(to: attentionTokens)
        return pixels(half, model) * share
    }

    private var area: Double { Double(input.count / input.shape[3]) }

    private func pixels(_ half: AutoencoderHalf, _ model: ModelGeometry) -> Double {
        half == .encoder ? area / Double(model.vaeFactor * model.vaeFactor) : area
    }

    private var attentionTokens: Int { embeddings.values.reduce(0) { $0 + $1.context.shape[1] } }
}

extension PicturePart {
    /// The norm at which its evaluation ends, counted from 0; the number of norms if it ends with the network.
    fileprivate func lastNorm(of network: TiledNetwork) -> Int {
        norm > 0 ? norm - 1 : network.norms
    }
}
