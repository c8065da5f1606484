import Engine

/// The init image at the size of a phase, and which part of it may change.
package struct PhasePicture: Sendable {
    /// Encoded, `[1, height, width, channels]`.
    package let latent: Tensor
    /// `[1, height, width, 1]`: 1 where it changes, 0 where it stays; nil where there is no mask.
    package let mask: Tensor?

    package init(latent: Tensor, mask: Tensor? = nil) {
        (self.latent, self.mask) = (latent, mask)
    }

    /// A latent where the mask is 1, and another where it is 0.
    ///
    /// - Parameters:
    ///   - changed: `[1, height, width, channels]`
    ///   - kept: of that shape
    ///   - mask: `[1, height, width, 1]`
    /// - Returns: (1 − mask) · kept + mask · changed
    package static func blend(_ changed: Tensor, over kept: Tensor, by mask: Tensor) -> Tensor {
        let channels = changed.shape[3]
        precondition(
            changed.shape == kept.shape && mask.count * channels == changed.count,
            "\(changed.shape), \(kept.shape), \(mask.shape)"
        )
        return Tensor(shape: changed.shape) { out in
            changed.withFloats { changed in
                kept.withFloats { kept in
                    mask.withFloats { mask in
                        for (pixel, share) in mask.enumerated() {
                            for i in pixel * channels..<(pixel + 1) * channels {
                                out[i] = (1 - share) * kept[i] + share * changed[i]
                            }
                        }
                    }
                }
            }
        }
    }
}

extension SamplerState {
    /// A latent whose unmasked part is the init image's; unchanged where there is no mask.
    ///
    /// - Parameters:
    ///   - latent: of this phase's size
    ///   - kept: what the unmasked part becomes; nil for the init image without noise
    /// - Returns: of that shape
    func keepingPicture(_ latent: Tensor, _ kept: Tensor? = nil) -> Tensor {
        guard let mask, let picture else { return latent }
        return PhasePicture.blend(latent, over: kept ?? picture, by: mask)
    }
}
