import Engine
import Sampling
import Testing

/// Guidance by a picture and by prompts at once.
@Suite struct GuidanceByPictureTests {
    private func embedding(_ value: Float) -> Embedding {
        Embedding(context: Tensor([value], shape: [1, 1, 1]))
    }

    private func prediction(_ seed: Float) -> Tensor {
        Tensor((0..<8).map { seed * Float($0) - seed * seed }, shape: [1, 2, 1, 4])
    }

    /// Brooks et al., 2023, equation 3, with one prompt and with several.
    @Test(arguments: [[1], [0.5], [1, -0.25, 2]] as [[Float]])
    func isThatOfInstructPix2Pix(weights: [Float]) throws {
        let (guidance, image): (Float, Float) = (7.5, 1.5)
        let prompts = Prompts(
            parts: weights.enumerated().map { .init(embedding(Float($0)), weight: $1) },
            negative: embedding(-1)
        )
        let conditioning = prompts.conditioning(imageScale: image / guidance)
        #expect(conditioning.map(\.omitsPicture) == [true, false] + weights.map { _ in false })
        #expect(conditioning[0].embedding == conditioning[1].embedding)
        let view = WorkUnit.View(timestep: 1, guidance: guidance, conditioning: conditioning)
        let found = view.guided(conditioning.indices.map { prediction(Float($0)) }).values
        let (nothing, picture) = (prediction(0).values, prediction(1).values)
        for i in found.indices {
            var wanted = nothing[i] + image * (picture[i] - nothing[i])
            for (part, weight) in weights.enumerated() {
                wanted += guidance * weight * (prediction(Float(part + 2)).values[i] - picture[i])
            }
            #expect(abs(found[i] - wanted) <= 1e-4 * max(1, abs(wanted)), "\(i)")
        }
    }

    /// Without guidance a view is evaluated once, with the picture and the prompt.
    @Test func withoutGuidanceThereIsOneEvaluation() {
        let prompts = Prompts(positive: embedding(1), negative: embedding(-1)).unguided
        let conditioning = prompts.conditioning(imageScale: 1.5)
        #expect(conditioning.count == 1 && !conditioning[0].omitsPicture)
    }
}
