import Engine

/// The init image at the size of a phase, and the mask of the part that may change.
package struct PhasePicture: Sendable {
    /// The encoded init image, `[1, height, width, channels]`.
    package let latent: Tensor
    /// Mask, `[1, height, width, 1]`: 1 where the picture changes, 0 where it is kept; nil if there is no mask.
    package let mask: Tensor?

    package init(latent: Tensor, mask: Tensor? = nil) {
        (self.latent, self.mask) = (latent, mask)
    }

    /// Blends two latents by a mask.
    ///
    /// - Parameters:
    ///   - changed: the latent where the mask is 1, `[1, height, width, channels]`
    ///   - kept: the latent where the mask is 0, of the same shape
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
    /// Replaces the unmasked part of a latent by the init image; returns the latent unchanged if there is no mask.
    ///
    /// - Parameters:
    ///   - latent: a latent of this phase's size
    ///   - kept: what to put in the unmasked part; nil for the init image without noise
    /// - Returns: a latent of the same shape
    func keepingPicture(_ latent: Tensor, _ kept: Tensor? = nil) -> Tensor {
        guard let mask, let picture else { return latent }
        return PhasePicture.blend(latent, over: kept ?? picture, by: mask)
    }
}
