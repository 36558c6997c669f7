//! The subjects of MMLU, CMMLU and C-Eval: files of the harness that differ in nothing but their subject.

use std::path::Path;

/// A subject of MMLU, and the group that counts it.
const MMLU: [(&str, &str); 57] = [
    ("abstract_algebra", "stem"),
    ("anatomy", "stem"),
    ("astronomy", "stem"),
    ("business_ethics", "other"),
    ("clinical_knowledge", "other"),
    ("college_biology", "stem"),
    ("college_chemistry", "stem"),
    ("college_computer_science", "stem"),
    ("college_mathematics", "stem"),
    ("college_medicine", "other"),
    ("college_physics", "stem"),
    ("computer_security", "stem"),
    ("conceptual_physics", "stem"),
    ("econometrics", "social_sciences"),
    ("electrical_engineering", "stem"),
    ("elementary_mathematics", "stem"),
    ("formal_logic", "humanities"),
    ("global_facts", "other"),
    ("high_school_biology", "stem"),
    ("high_school_chemistry", "stem"),
    ("high_school_computer_science", "stem"),
    ("high_school_european_history", "humanities"),
    ("high_school_geography", "social_sciences"),
    ("high_school_government_and_politics", "social_sciences"),
    ("high_school_macroeconomics", "social_sciences"),
    ("high_school_mathematics", "stem"),
    ("high_school_microeconomics", "social_sciences"),
    ("high_school_physics", "stem"),
    ("high_school_psychology", "social_sciences"),
    ("high_school_statistics", "stem"),
    ("high_school_us_history", "humanities"),
    ("high_school_world_history", "humanities"),
    ("human_aging", "other"),
    ("human_sexuality", "social_sciences"),
    ("international_law", "humanities"),
    ("jurisprudence", "humanities"),
    ("logical_fallacies", "humanities"),
    ("machine_learning", "stem"),
    ("management", "other"),
    ("marketing", "other"),
    ("medical_genetics", "other"),
    ("miscellaneous", "other"),
    ("moral_disputes", "humanities"),
    ("moral_scenarios", "humanities"),
    ("nutrition", "other"),
    ("philosophy", "humanities"),
    ("prehistory", "humanities"),
    ("professional_accounting", "other"),
    ("professional_law", "humanities"),
    ("professional_medicine", "other"),
    ("professional_psychology", "social_sciences"),
    ("public_relations", "social_sciences"),
    ("security_studies", "social_sciences"),
    ("sociology", "social_sciences"),
    ("us_foreign_policy", "social_sciences"),
    ("virology", "other"),
    ("world_religions", "humanities"),
];

/// A subject of CMMLU, and its Chinese name.
const CMMLU: [(&str, &str); 67] = [
    ("agronomy", "农学"),
    ("anatomy", "解剖学"),
    ("ancient_chinese", "古汉语"),
    ("arts", "艺术学"),
    ("astronomy", "天文学"),
    ("business_ethics", "商业伦理"),
    ("chinese_civil_service_exam", "中国公务员考试"),
    ("chinese_driving_rule", "中国驾驶规则"),
    ("chinese_food_culture", "中国饮食文化"),
    ("chinese_foreign_policy", "中国外交政策"),
    ("chinese_history", "中国历史"),
    ("chinese_literature", "中国文学"),
    ("chinese_teacher_qualification", "中国教师资格"),
    ("clinical_knowledge", "临床知识"),
    ("college_actuarial_science", "大学精算学"),
    ("college_education", "大学教育学"),
    ("college_engineering_hydrology", "大学工程水文学"),
    ("college_law", "大学法律"),
    ("college_mathematics", "大学数学"),
    ("college_medical_statistics", "大学医学统计"),
    ("college_medicine", "大学医学"),
    ("computer_science", "计算机科学"),
    ("computer_security", "计算机安全"),
    ("conceptual_physics", "概念物理学"),
    ("construction_project_management", "建设工程管理"),
    ("economics", "经济学"),
    ("education", "教育学"),
    ("electrical_engineering", "电气工程"),
    ("elementary_chinese", "小学语文"),
    ("elementary_commonsense", "小学常识"),
    ("elementary_information_and_technology", "小学信息技术"),
    ("elementary_mathematics", "初等数学"),
    ("ethnology", "民族学"),
    ("food_science", "食品科学"),
    ("genetics", "遗传学"),
    ("global_facts", "全球事实"),
    ("high_school_biology", "高中生物"),
    ("high_school_chemistry", "高中化学"),
    ("high_school_geography", "高中地理"),
    ("high_school_mathematics", "高中数学"),
    ("high_school_physics", "高中物理学"),
    ("high_school_politics", "高中政治"),
    ("human_sexuality", "人类性行为"),
    ("international_law", "国际法学"),
    ("journalism", "新闻学"),
    ("jurisprudence", "法理学"),
    ("legal_and_moral_basis", "法律与道德基础"),
    ("logical", "逻辑学"),
    ("machine_learning", "机器学习"),
    ("management", "管理学"),
    ("marketing", "市场营销"),
    ("marxist_theory", "马克思主义理论"),
    ("modern_chinese", "现代汉语"),
    ("nutrition", "营养学"),
    ("philosophy", "哲学"),
    ("professional_accounting", "专业会计"),
    ("professional_law", "专业法学"),
    ("professional_medicine", "专业医学"),
    ("professional_psychology", "专业心理学"),
    ("public_relations", "公共关系"),
    ("security_study", "安全研究"),
    ("sociology", "社会学"),
    ("sports_science", "体育学"),
    ("traditional_chinese_medicine", "中医中药"),
    ("virology", "病毒学"),
    ("world_history", "世界历史"),
    ("world_religions", "世界宗教"),
];

/// A subject of C-Eval, and its Chinese name.
const CEVAL: [(&str, &str); 52] = [
    ("accountant", "注册会计师"),
    ("advanced_mathematics", "高等数学"),
    ("art_studies", "艺术学"),
    ("basic_medicine", "基础医学"),
    ("business_administration", "工商管理"),
    ("chinese_language_and_literature", "中国语言文学"),
    ("civil_servant", "公务员"),
    ("clinical_medicine", "临床医学"),
    ("college_chemistry", "大学化学"),
    ("college_economics", "大学经济学"),
    ("college_physics", "大学物理"),
    ("college_programming", "大学编程"),
    ("computer_architecture", "计算机组成"),
    ("computer_network", "计算机网络"),
    ("discrete_mathematics", "离散数学"),
    ("education_science", "教育学"),
    ("electrical_engineer", "注册电气工程师"),
    ("environmental_impact_assessment_engineer", "环境影响评价工程师"),
    ("fire_engineer", "注册消防工程师"),
    ("high_school_biology", "高中生物"),
    ("high_school_chemistry", "高中化学"),
    ("high_school_chinese", "高中语文"),
    ("high_school_geography", "高中地理"),
    ("high_school_history", "高中历史"),
    ("high_school_mathematics", "高中数学"),
    ("high_school_physics", "高中物理"),
    ("high_school_politics", "高中政治"),
    ("ideological_and_moral_cultivation", "思想道德修养与法律基础"),
    ("law", "法学"),
    ("legal_professional", "法律职业资格"),
    ("logic", "逻辑学"),
    ("mao_zedong_thought", "毛泽东思想和中国特色社会主义理论体系概论"),
    ("marxism", "马克思主义基本原理"),
    ("metrology_engineer", "注册计量师"),
    ("middle_school_biology", "初中生物"),
    ("middle_school_chemistry", "初中化学"),
    ("middle_school_geography", "初中地理"),
    ("middle_school_history", "初中历史"),
    ("middle_school_mathematics", "初中数学"),
    ("middle_school_physics", "初中物理"),
    ("middle_school_politics", "初中政治"),
    ("modern_chinese_history", "近代史纲要"),
    ("operating_system", "操作系统"),
    ("physician", "医师资格"),
    ("plant_protection", "植物保护"),
    ("probability_and_statistics", "概率统计"),
    ("professional_tour_guide", "导游资格"),
    ("sports_science", "体育学"),
    ("tax_accountant", "税务师"),
    ("teacher_qualification", "教师资格"),
    ("urban_and_rural_planner", "注册城乡规划师"),
    ("veterinary_medicine", "兽医学"),
];

/// The text of a subject's task file, such as `mmlu/mmlu_anatomy.yaml`.
pub(super) fn text(path: &Path) -> Option<String> {
    let (name, ending) = path.file_name()?.to_str()?.rsplit_once('.')?;
    let folder = path.parent()?.to_str()?;
    if let Some((kind, subject)) = name.strip_prefix("gptailor_").and_then(|name| name.split_once('_'))
        && (folder, ending) == ("opencompass", "yaml")
    {
        let find = |table: &'static [(&str, &str)]| table.iter().find(|(name, _)| *name == subject).copied();
        return match kind {
            "mmlu" => find(&MMLU).map(|(name, _)| gptailor_mmlu(name)),
            "cmmlu" => find(&CMMLU).map(|(name, chinese)| gptailor_cmmlu(name, chinese)),
            _ => None,
        };
    }
    let prefix = if folder == "ceval" { "ceval-valid" } else { folder };
    let subject = name.strip_prefix(prefix)?.strip_prefix('_').filter(|_| ending == "yaml")?;
    let find = |table: &'static [(&str, &str)]| table.iter().find(|(name, _)| *name == subject).copied();
    match folder {
        "mmlu" => find(&MMLU).map(|(name, group)| mmlu(name, group)),
        "cmmlu" => find(&CMMLU).map(|(name, chinese)| cmmlu(name, chinese)),
        "ceval" => find(&CEVAL).map(|(name, chinese)| ceval(name, chinese)),
        _ => None,
    }
}

/// The paths of all subjects' task files.
pub(super) fn paths() -> impl Iterator<Item = String> {
    let mmlu = MMLU.iter().map(|(name, _)| format!("mmlu/mmlu_{name}.yaml"));
    let cmmlu = CMMLU.iter().map(|(name, _)| format!("cmmlu/cmmlu_{name}.yaml"));
    let of_opencompass =
        |kind: &'static str| move |(name, _): &(&str, &str)| format!("opencompass/gptailor_{kind}_{name}.yaml");
    let mmlu = mmlu.chain(MMLU.iter().map(of_opencompass("mmlu")));
    let cmmlu = cmmlu.chain(CMMLU.iter().map(of_opencompass("cmmlu")));
    mmlu.chain(cmmlu).chain(CEVAL.iter().map(|(name, _)| format!("ceval/ceval-valid_{name}.yaml")))
}

/// The task file of a subject of MMLU; `group` is the one that counts it.
fn mmlu(name: &str, group: &str) -> String {
    let words = name.replace('_', " ");
    format!(
        "include: _default_template_yaml\ntask: mmlu_{name}\ntask_alias: {name}\ndataset_name: {name}\n\
         tag: mmlu_{group}_tasks\n\
         description: \"The following are multiple choice questions (with answers) about {words}.\\n\\n\"\n"
    )
}

/// The task file of a subject of CMMLU.
fn cmmlu(name: &str, chinese: &str) -> String {
    format!(
        "include: _default_template_yaml\ntask: cmmlu_{name}\ndataset_name: {name}\n\
         description: \"以下是关于{chinese}的单项选择题，请直接给出正确答案的选项。\\n\\n\"\n"
    )
}

/// The task file of a subject of MMLU as OpenCompass asks it, its two spaces included.
fn gptailor_mmlu(name: &str) -> String {
    let words = name.replace('_', " ");
    format!(
        "include: _mmlu_template_yaml\ntask: gptailor_mmlu_{name}\ndataset_name: {name}\n\
         description: \"The following are multiple choice questions (with answers) about  {words}.\\n\\n\"\n"
    )
}

/// The task file of a subject of CMMLU as OpenCompass asks it: each shot names the subject. Two line feeds more stand
/// before the question than before a shot.
fn gptailor_cmmlu(name: &str, chinese: &str) -> String {
    let question = format!(
        "以下是关于{chinese}的单项选择题，请直接给出正确答案的选项。\\n\
         题目：{{{{Question}}}}\\nA. {{{{A}}}}\\nB. {{{{B}}}}\\nC. {{{{C}}}}\\nD. {{{{D}}}}"
    );
    format!(
        "include: _cmmlu_template_yaml\ntask: gptailor_cmmlu_{name}\ndataset_name: {name}\n\
         doc_to_text: \"\\n\\n{question}\"\n\
         fewshot_config: {{sampler: first_n, doc_to_text: \"{question}\"}}\n"
    )
}

/// The task file of a subject of C-Eval's validation split.
fn ceval(name: &str, chinese: &str) -> String {
    format!(
        "include: _default_ceval_yaml\ntask: ceval-valid_{name}\ndataset_name: {name}\n\
         description: \"以下是中国关于{chinese}的单项选择题，请选出其中的正确答案。\\n\\n\"\n"
    )
}
