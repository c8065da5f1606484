// Writes ICC profiles of kinds that are rare in pictures, as seeds for the targets: tables instead of curves and
// matrices, in 8 bits, 16 bits and floats. `profiles FOLDER`
#include <stdio.h>
#include <stdlib.h>

#include <lcms2.h>

static cmsInt32Number sample_words(const cmsUInt16Number in[], cmsUInt16Number out[], void *cargo) {
    (void)cargo;
    for (int i = 0; i < 3; i++) out[i] = (cmsUInt16Number)(65535 - in[i]);
    return TRUE;
}

static cmsPipeline *table(int inputs, int is_float) {
    cmsPipeline *lut = cmsPipelineAlloc(NULL, (cmsUInt32Number)inputs, 3);
    cmsStage *clut;
    if (is_float) {
        float points[2 * 2 * 2 * 3];
        for (int i = 0; i < 24; i++) points[i] = (float)i / 24;
        clut = cmsStageAllocCLutFloat(NULL, 2, (cmsUInt32Number)inputs, 3, points);
    } else {
        clut = cmsStageAllocCLut16bit(NULL, 3, (cmsUInt32Number)inputs, 3, NULL);
        cmsStageSampleCLut16bit(clut, sample_words, NULL, 0);
    }
    cmsPipelineInsertStage(lut, cmsAT_END, cmsStageAllocToneCurves(NULL, (cmsUInt32Number)inputs, NULL));
    cmsPipelineInsertStage(lut, cmsAT_END, clut);
    cmsPipelineInsertStage(lut, cmsAT_END, cmsStageAllocToneCurves(NULL, 3, NULL));
    return lut;
}

static void save(const char *folder, const char *name, int inputs, double version, cmsTagSignature tag, int is_float) {
    cmsHPROFILE profile = cmsCreateProfilePlaceholder(NULL);
    cmsSetProfileVersion(profile, version);
    cmsSetDeviceClass(profile, cmsSigDisplayClass);
    cmsSetColorSpace(profile, inputs == 1 ? cmsSigGrayData : cmsSigRgbData);
    cmsSetPCS(profile, cmsSigLabData);
    cmsPipeline *lut = table(inputs, is_float);
    cmsWriteTag(profile, tag, lut);
    cmsPipelineFree(lut);
    cmsUInt32Number size = 0;
    cmsSaveProfileToMem(profile, NULL, &size);
    unsigned char *bytes = malloc(size + 1);
    // The target's first byte: whether the picture is grey.
    bytes[0] = inputs == 1;
    if (cmsSaveProfileToMem(profile, bytes + 1, &size)) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, name);
        FILE *file = fopen(path, "wb");
        if (file) {
            fwrite(bytes, 1, size + 1, file);
            fclose(file);
        }
    }
    free(bytes);
    cmsCloseProfile(profile);
}

int main(int count, char **arguments) {
    if (count != 2) return 64;
    save(arguments[1], "lut16", 3, 2.1, cmsSigAToB0Tag, 0);
    save(arguments[1], "lut16-grey", 1, 2.1, cmsSigAToB0Tag, 0);
    save(arguments[1], "a2b", 3, 4.3, cmsSigAToB0Tag, 0);
    save(arguments[1], "a2b1", 3, 4.3, cmsSigAToB1Tag, 0);
    save(arguments[1], "elements", 3, 4.3, cmsSigDToB0Tag, 1);
    return 0;
}
